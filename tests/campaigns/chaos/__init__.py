"""Chaos from a seed: real workers, brokers and stores that fail, judged from outside afterwards.

`schedule` says what happens when, `play` lets it happen, `judge` holds the archive, the broker and
all that was left behind against the promises. Run it: ``python -m tests.campaigns.chaos``.
"""
