"""The gateway's local index: a cache of the archive."""
