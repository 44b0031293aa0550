"""The job table: work for satellites.

::

                 claim                     finish
    queued ───────────────▶ leased ───────────────────▶ succeeded
      ▲  │                   │  │
      │  │ cancel            │  └─ finish, the user must act ▶ failed
      │  ▼                   │
      │ cancelled            │  transient failure, or the lease ran out
      └──────────────────────┘  … more often than `max_attempts`: dead

A job is leased to one worker at a time, and of the jobs with one dedupe key at most one is queued and one leased:
unique indexes see to both. A lease carries a token, which every report brings back; a worker that lost its lease
cannot report any more.
"""
