"""Servers that fail when told: faults and the log of requests, the channel that tells of both, and
a process that runs such a server. `blobs` and `s3_faults` are made of them."""
