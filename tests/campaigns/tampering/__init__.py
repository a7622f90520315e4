"""Tampering with a real archive and with bundles of it: who must find what, and that they do.

``python -m tests.campaigns.tampering [--mutations N] [--clean N] [--seed S]``

Each mutation is made to a whole archive with its log, or to an evidence bundle of it. An auditor
has the public keys, a policy, and two checkpoints that were kept outside. `table.KINDS` says which
of the finders must find a kind of mutation, and why one cannot; none may ever vouch for something
that is not so, and none may find anything in a clean archive.
"""
