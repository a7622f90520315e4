"""A fleet at a steady rate for an hour, and whether it stays as it is: ``make soak``."""
