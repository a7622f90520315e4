"""Erasing persons: requests, the protocol that carries them out, what certifies it."""
