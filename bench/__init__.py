"""The benchmark: audit_stream against three stream processors on one broker and one machine.

Not shipped. Run it with ``make bench``, or ``python -m bench.run --help``.
"""
