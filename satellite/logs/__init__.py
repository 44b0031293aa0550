"""What replicas print and what happens to them, kept on the satellite's disk and read by its gateway.

`collector` follows every replica through its runtime and writes; `kept` is the format and the files, bounded in size;
`reading` finds lines again. Secrets are taken out before anything is written (`satellite.masking`).
"""
