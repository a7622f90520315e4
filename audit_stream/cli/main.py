"""The command line's frame: commands are imported when used, errors become exit codes.

Exit codes: 0 good, 1 found something wrong, 2 wrong use, 3 cannot judge, 70 internal.
"""

from __future__ import annotations

import importlib
import logging.config
import os
import sys
from typing import Any, NamedTuple, cast

import click
import typer

from audit_stream import __version__
from audit_stream.errors import AuditError, Fault, UnknownVersion
from audit_stream.telemetry.discreet import traced, where
from audit_stream.telemetry.logs import hush_interpreter, logging_config

GOOD, FOUND, WRONG_USE, CANNOT_JUDGE, INTERNAL = 0, 1, 2, 3, 70


class Entry(NamedTuple):
    """Where a command lives and what `--help` says of it, without importing it."""

    target: str
    help: str


COMMANDS = {
    "demo": Entry("demo:demo", "Everything there is, on an embedded Kafka, in a minute."),
    "broker": Entry("broker:broker", "A Kafka of one node that stays up, to try things on."),
    "keyring": Entry(
        "keyring:app", "Make the archive's keys; back them up; hand them out; renew them."
    ),
    "topics": Entry("topics:app", "Make the broker's topics match topics/."),
    "worker": Entry("worker:worker", "Archive the raw topics until SIGTERM."),
    "notary": Entry("notary:notary", "Write the archive log and its checkpoints until SIGTERM."),
    "import": Entry("import_:import_files", "Put JSON lines into the raw topics."),
    "reconcile": Entry("reconcile:reconcile", "Is anything missing? Broker against archive."),
    "show": Entry("show:show", "One message's history, each hash recomputed."),
    "verify": Entry("verify:verify", "Prove an archive with only a public key."),
    "log": Entry("log:app", "The archive log: its checkpoint, its keys, what it says of one kept."),
    "prove-complete": Entry(
        "prove_complete:prove_complete", "A signed statement: nothing of a period is missing."
    ),
    "gateway": Entry("gateway:gateway", "Serve signed, verified answers until SIGTERM."),
    "tokens": Entry("gateway:tokens", "Who may ask the gateway: create, list, revoke."),
    "deliver": Entry("deliver:app", "Post what is archived to a SIEM; try again what it refused."),
    "export": Entry("export:export", "An evidence bundle, to be checked without us."),
    "index": Entry("index:app", "The gateway's index: made from the archive alone; how far it is."),
    "replay": Entry("replay:replay", "Does the raw log still give what the archive says?"),
    "backfill": Entry("backfill:backfill", "A second archive from the topics' history."),
    "archive": Entry(
        "archive:app", "How it is protected; lock it for ever; compare two; its second store."
    ),
    "retention": Entry("retention:app", "What has expired; disposing of it, by two people's word."),
    "doctor": Entry("doctor:doctor", "Ask your Azure account what its documents leave open."),
    "hold": Entry("holds:app", "Legal holds: declare, release by two persons, make them held."),
    "redact": Entry("redact:app", "Erase a person: ask, approve, carry out; certificates."),
    "quarantine": Entry("quarantine:app", "List what was not understood; retry it."),
    "privacy": Entry("privacy:app", "Where personal data lives, for how long, and who reads it."),
    "alerts": Entry("alerts:app", "Try the ways alarms leave by."),
    "state": Entry("state:app", "Rebuild the precedence table from the archive."),
}
EPILOG = """First steps: audit-stream demo. For real: audit-stream keyring init; audit-stream topics
apply --dry-run; audit-stream topics apply; audit-stream worker; audit-stream reconcile;
audit-stream verify. Settings are AUDIT_* variables or lines of a TOML file, the common ones flags
too: see docs/reference/settings.md."""


def _nothing() -> None:
    """A group with a single command is one only if it has a callback."""


class LazyGroup(click.Group):
    """Imports a command when it is asked for: `--help` must not load Kafka clients."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        found: Any = getattr(importlib.import_module(f"audit_stream.cli.{module}"), attribute)
        # Below another one, or typer offers to install the completion of this command alone.
        above = typer.Typer(add_completion=False)
        above.callback()(_nothing)
        if isinstance(found, typer.Typer):
            above.add_typer(found, name=cmd_name)
        else:
            above.command(name=cmd_name)(found)
        command: Any = typer.main.get_command(above)  # typer carries its own copy of click
        return cast("click.Command", command.commands[cmd_name])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.command(
    cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="audit-stream")
@click.option("--config", type=click.Path(dir_okay=False), help="Settings file (TOML).")
@click.option("-v", "--verbose", is_flag=True, help="Log everything there is to log.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(config: str | None, verbose: bool, debug: bool) -> None:
    """Turn message-status topics into a write-once archive that proves itself."""
    if config:
        os.environ["AUDIT_CONFIG"] = config
    if verbose:
        os.environ["AUDIT_LOG_LEVEL"] = "DEBUG"
        logging.config.dictConfig(logging_config("DEBUG", "console"))
    if debug:
        os.environ["AUDIT_DEBUG"] = "1"


def run() -> None:
    """Entry point of `audit-stream`."""
    hush_interpreter()
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    try:
        result = main(arguments, prog_name="audit-stream", standalone_mode=False)
    except (click.exceptions.Exit, typer.Exit) as done:
        return int(done.exit_code)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (click.exceptions.Abort, typer.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return FOUND
    except AuditError as error:
        return _explain(error)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # typer's own usage errors
            error.show()
            return WRONG_USE
        # Without its text, which may hold what was worked on: of a service, this goes into a log.
        click.echo(f"internal error: {type(error).__name__} at {where(error)}", err=True)
        _trace(error)
        return INTERNAL
    return result if isinstance(result, int) else GOOD


def _explain(error: AuditError) -> int:
    click.echo(f"{error.code}: {error.message}", err=True)
    if error.hint:
        click.echo(f"  -> {error.hint}", err=True)
    _trace(error)
    return exit_code(type(error))


def exit_code(error: type[AuditError]) -> int:
    """What a command ends with that ends by such an error."""
    if issubclass(error, UnknownVersion):
        return CANNOT_JUDGE
    return {Fault.OPERATOR: WRONG_USE, Fault.BUG: INTERNAL}.get(error.fault, FOUND)


def _trace(error: Exception) -> None:
    if os.environ.get("AUDIT_DEBUG"):
        click.echo(traced(error), err=True)
