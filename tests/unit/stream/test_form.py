"""The form of states: its bytes are fixed under its name, and two forms never meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.evidence.segment import decode
from audit_stream.precedence.matrix import State, table_key
from audit_stream.rocks import batch_of, new_cache, open_database
from audit_stream.stream.form import FIRST_FORM, Applied, StateForm
from audit_stream.stream.rebuild import FORM_FILE, fit_state_dir
from tests.support import golden
from tests.support.next_release import SECOND_FORM

STREAM = "ab" * 16
KEY = table_key(STREAM, "tenant_a", "m-1")
STATE = State(rank=2, revision=3, offset=5, timestamp=1_795_564_800_000)


def test_the_bytes_of_the_first_form() -> None:
    """Others are another form: give it a name, a prefix and a marker of its own."""
    assert FIRST_FORM.name == "audit-state/1"
    [(key, value)] = FIRST_FORM.states({KEY: STATE})
    assert key == STREAM.encode() + b"\x00tenant_a\x00m-1"
    assert value.hex() == "02000000030000000000000005000001a210008800"
    assert FIRST_FORM.applied_key("t") == b"\x00applied-stream\x00t"
    applied = Applied(b"\xab" * 16, 1, 2, b"\xcd" * 32)
    assert applied.pack().hex() == "ab" * 16 + f"{1:016x}{2:016x}" + "cd" * 32


@pytest.mark.parametrize(
    ("mine", "others"),
    [(FIRST_FORM, SECOND_FORM), (SECOND_FORM, FIRST_FORM)],
    ids=["old beside next", "next beside old"],
)
def test_what_another_form_wrote_is_not_there(
    tmp_path: Path, mine: StateForm, others: StateForm
) -> None:
    name, data = next(
        (n, d) for n, d in golden.archive_objects().items() if n.startswith("segments/")
    )
    segment = decode(data, name)
    changes = others.changes_of(segment.header, segment.leaf, {KEY: STATE})
    database = open_database(tmp_path / "db", new_cache())
    database.write(batch_of(changes))
    assert database.get(mine.prefix + KEY) is None
    assert database.get(mine.applied_key(segment.header.topic)) is None
    begin = mine.keys_begin(bytes.fromhex(STREAM))
    assert [k for k in database.keys(from_key=begin) if k.startswith(begin)] == []
    assert others.unpack(database.get(others.prefix + KEY)) == STATE
    database.close()


@pytest.mark.parametrize("said", [None, b"audit-state/2", b"\xff\xfe", b""])
def test_a_folder_of_another_form_is_emptied_unread(tmp_path: Path, said: bytes | None) -> None:
    table = tmp_path / "v1" / "tables" / "precedence-0.db"
    table.mkdir(parents=True)
    (table / "CURRENT").write_bytes(b"of a database that this release could not open")
    (tmp_path / "last-end").write_text("AS-0000")
    if said is not None:
        (tmp_path / FORM_FILE).write_bytes(said)
    fit_state_dir(tmp_path, FIRST_FORM)
    assert not table.exists()
    assert (tmp_path / "last-end").exists()
    table.mkdir()
    fit_state_dir(tmp_path, FIRST_FORM)  # and now it is of this one
    assert table.exists()
