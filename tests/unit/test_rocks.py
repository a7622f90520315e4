"""What RocksDB says when a disk takes nothing: an error of ours, with a sentence and no key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit_stream.errors import StateError
from audit_stream.rocks import new_cache, open_database, writing
from tests.campaigns.chaos.machine import Machine

WRITES = """
import sys
from pathlib import Path
from audit_stream.errors import StateError
from audit_stream.rocks import batch_of, new_cache, open_database, writing
path = Path(sys.argv[1])
database = open_database(path, new_cache())
print("open", flush=True)
sys.stdin.readline()
try:
    with writing(path):
        database.write(batch_of([(b"a key", b"a value")]))
except StateError as error:
    print(error.message)
"""


def test_a_full_disk_is_said_without_what_was_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    machine = Machine(tmp_path / "machine", [disk])
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(disk / "db")], env=os.environ | machine.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        machine.full_disk()
        said, _ = process.communicate("go on\n")
    assert said == f"cannot write the database {disk / 'db'}: IO error: No space left on device\n"


def test_a_database_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot write the database"), writing(tmp_path / "file"):
        open_database(tmp_path / "file" / "db", new_cache())


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    with pytest.raises(TypeError), writing(tmp_path):
        raise TypeError("no bytes")
