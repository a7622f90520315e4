"""A keyring in a folder of its own, and how its backups are made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.keys.file import create_keyring

NAME = "archive.example"
PHRASE = b"six words are drawn by lot"
CHEAP = 2  # log2 of scrypt's N


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "keys" / "keyring.json", NAME)
    return tmp_path / "keys" / "keyring.json"
