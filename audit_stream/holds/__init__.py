"""Legal holds: declared, released by two persons, followed by who erases, pushed to the store."""
