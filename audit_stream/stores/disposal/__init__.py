"""Removing from write-once stores what has expired: for `audit-stream retention` alone."""
