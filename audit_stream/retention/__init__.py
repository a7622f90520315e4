"""Retention and disposal: what has expired, who approves, and removing it with a certificate."""
