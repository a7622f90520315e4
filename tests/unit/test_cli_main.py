"""The command line's frame: commands on demand, errors as exit codes, one sentence and a hint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from audit_stream import __version__
from audit_stream.cli.main import COMMANDS, Entry, run_command
from audit_stream.errors import (
    AuditError,
    BrokerError,
    ConfigError,
    Fenced,
    ForkAlarm,
    FormatError,
    KeyringError,
    StateError,
    StoreRefused,
    StoreTransient,
    TopicError,
    UnknownVersion,
)

ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]
Install = Callable[[Callable[[], object]], None]
every_command = pytest.mark.parametrize("name", list(COMMANDS))


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What global options set is gone after the test."""
    for name in ("AUDIT_CONFIG", "AUDIT_DEBUG", "AUDIT_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a function the command ``probe``."""

    def put(function: Callable[[], object]) -> None:
        module = ModuleType("audit_stream.cli.probe")
        vars(module)["probe"] = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "probe", Entry("probe:probe", "A test's own."))

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )


def test_help_names_every_command_and_the_first_steps(capsys: Captured) -> None:
    assert run_command(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)
    assert "First steps: audit-stream demo" in said


def test_help_loads_no_kafka_client_and_no_store() -> None:
    done = python(
        "-c",
        "import sys\n"
        "from audit_stream.cli.main import run_command\n"
        "assert run_command(['--help']) == 0\n"
        "heavy = {'faust', 'mode', 'aiokafka', 'rocksdict', 'cryptography', 'pydantic_settings'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)",
    )
    assert done.returncode == 0, done.stderr


@every_command
def test_each_command_has_help_that_teaches(name: str, capsys: Captured) -> None:
    assert run_command([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"audit-stream {name}" in said
    assert "completion" not in said  # of a shell, for this command alone


def test_version(capsys: Captured) -> None:
    assert run_command(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["wroker"],
        ["--no-such-option"],
        ["--config"],
        ["show"],
        ["show", "--no-such-option"],
        ["worker", "--web-port", "many"],
        ["topics", "no-such-command"],
        ["verify", "--key"],
        *([name, "--no-such-option"] for name in COMMANDS),
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_without_a_traceback(arguments: list[str], capsys: Captured) -> None:
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigError, 2),
        (KeyringError, 2),
        (TopicError, 2),
        (StateError, 2),
        (StoreRefused, 2),
        (FormatError, 1),
        (UnknownVersion, 3),
        (StoreTransient, 1),
        (ForkAlarm, 1),
        (BrokerError, 1),
        (Fenced, 1),
        (AuditError, 70),
    ],
)
def test_an_error_is_its_exit_code_one_sentence_and_a_hint(
    kind: type[AuditError], code: int, install: Install, capsys: Captured
) -> None:
    install(raising(kind("it is wrong here", hint="do that")))
    assert run_command(["probe"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"{kind.code}: it is wrong here\n  -> do that\n"
    assert captured.out == ""


def test_no_hint_is_no_empty_line(install: Install, capsys: Captured) -> None:
    install(raising(ConfigError("it is wrong here")))
    run_command(["probe"])
    assert capsys.readouterr().err == "AS-1001: it is wrong here\n"


@pytest.mark.parametrize("error", [ConfigError("wrong"), RuntimeError("a bug")])
def test_a_traceback_only_for_those_who_ask(
    error: Exception, install: Install, capsys: Captured
) -> None:
    install(raising(error))
    code = run_command(["probe"])
    assert "Traceback" not in capsys.readouterr().err
    assert run_command(["--debug", "probe"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_70_and_told_by_its_place_without_its_text(
    install: Install, capsys: Captured
) -> None:
    install(raising(RuntimeError("of jane@example.org")))
    assert run_command(["--debug", "probe"]) == 70
    told = capsys.readouterr().err
    assert told.startswith("internal error: RuntimeError at test_cli_main.py:")
    assert "jane" not in told


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_a_stopped_command_has_not_succeeded(
    error: BaseException, install: Install, capsys: Captured
) -> None:
    install(raising(error))
    assert run_command(["probe"]) == 1
    assert capsys.readouterr().err.strip() == "stopped"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_chooses_its_exit_code(code: int, install: Install) -> None:
    install(raising(typer.Exit(code)))
    assert run_command(["probe"]) == code


def test_nothing_raised_is_good(install: Install) -> None:
    def probe() -> None:
        """Succeeds."""

    install(probe)
    assert run_command(["probe"]) == 0


def test_config_names_the_settings_file_of_every_command(capsys: Captured) -> None:
    Path("bad.toml").write_text("archive_nam = 'x'\n")
    assert run_command(["--config", "bad.toml", "reconcile"]) == 2
    said = capsys.readouterr().err
    assert "bad.toml sets 'archive_nam'" in said
    assert "did you mean archive_name?" in said


def test_verbose_logs_everything_of_ours() -> None:
    script = (
        "import logging, sys\n"
        "from audit_stream.cli.main import run_command\n"
        "run_command([*sys.argv[1:], 'keyring', '--help'])\n"
        "logging.getLogger('audit_stream.x').debug('a detail')\n"
    )
    assert "a detail" not in python("-c", script).stderr
    assert "a detail" in python("-c", script, "-v").stderr


def test_the_module_runs_as_the_command_does() -> None:
    done = python("-m", "audit_stream", "no-such-command")
    assert done.returncode == 2
    assert "no-such-command" in done.stderr
    assert python("-m", "audit_stream", "--version").stdout.startswith("audit-stream")
