"""Erasing a person: what is theirs in the archive, and what links them to it."""
