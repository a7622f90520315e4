"""Delivery to receivers of others: each record of the archive is posted, and believed stored only
when the receiver said so."""
