"""The job table: work for satellites, and for the server itself (`chores`, which the `housekeeper` does).

::

                 claim                     finish
    queued ───────────────▶ leased ───────────────────▶ succeeded
      ▲  │                   │  │
      │  │ cancel            │  └─ finish, the user must act ▶ failed
      │  ▼                   │
      │ cancelled            │  transient failure, or the lease ran out
      └──────────────────────┘  … for the last of `max_attempts` times: dead

A job is leased to one worker at a time, and of the jobs with one dedupe key at most one is queued and one leased:
unique indexes see to both. A job that is queued while another of its key is leased supersedes it: the leased one is
cancelled instead of queued again. A lease carries a token, which every report brings back; a worker that lost its lease
cannot report any more.
"""
