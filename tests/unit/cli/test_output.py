"""How commands speak: a table on a terminal, plain lines in a pipe, one document with --json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_stream.cli.output import Output, write_result
from audit_stream.errors import ConfigError

Captured = pytest.CaptureFixture[str]
ROWS = [("a", 1), ("[red]b[/red]", None)]


def test_a_pipe_gets_tab_separated_lines(capsys: Captured) -> None:
    Output().table("Title", ("name", "count"), ROWS)
    assert capsys.readouterr().out == "name\tcount\na\t1\n[red]b[/red]\tNone\n"


def test_a_long_cell_stays_on_its_line(capsys: Captured) -> None:
    Output().table("Title", ("name",), [("x" * 500,)])
    assert capsys.readouterr().out == f"name\n{'x' * 500}\n"


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    Output().table("Title", ("name", "count"), [("[red]a[/red] :smile:", 1)])
    said = capsys.readouterr().out
    assert "Title" in said
    assert "│ [red]a[/red] :smile: │ 1     │" in said


def test_json_is_the_only_thing_on_stdout(capsys: Captured) -> None:
    out = Output(as_json=True)
    out.say("for people")
    out.table("Title", ("name",), ROWS)
    out.document({"good": True})
    out.note("beside it")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"good": True}
    assert captured.err == "beside it\n"


def test_without_json_there_is_no_document(capsys: Captured) -> None:
    Output().document({"good": True})
    assert capsys.readouterr().out == ""


def test_text_is_printed_as_it_is(capsys: Captured) -> None:
    Output().say("[bold]file[/bold] :smile: 42 " + "x" * 300)
    assert capsys.readouterr().out == "[bold]file[/bold] :smile: 42 " + "x" * 300 + "\n"


def test_progress_is_silent_where_nobody_watches(capsys: Captured) -> None:
    with Output().progress() as progress:
        task = progress.add_task("reading", total=2, rate="")
        progress.update(task, completed=2)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_result_is_written_whole_or_what_stood_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    write_result(path, b"first")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
    with pytest.raises(ConfigError, match="--output /dev/full: cannot write: No space left"):
        write_result(Path("/dev/full"), b"second")
    assert (tmp_path / "bundle.zip").read_bytes() == b"first"
    with pytest.raises(ConfigError, match="No such file"):
        write_result(tmp_path / "gone" / "bundle.zip", b"third")
