"""Release notes: the version's section of CHANGELOG.md."""

from __future__ import annotations

import re


def notes(changelog: str, version: str) -> str:
    """The section, under its heading. Raises LookupError where the version has none."""
    sections = re.split(r"^(?=## )", changelog, flags=re.M)
    for section in sections:
        if section.startswith(f"## [{version}]"):
            return section.rstrip("\n") + "\n"
    raise LookupError(f"CHANGELOG.md has no section [{version}]")
