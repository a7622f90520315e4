"""The gateway: signed answers about what is archived, from the archive and its index alone."""
