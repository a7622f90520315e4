"""`audit-stream prove-complete`: a signed statement that nothing of a period is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output, write_result
from audit_stream.errors import ConfigError, StoreError
from audit_stream.evidence.ledger import LOST, MEANING
from audit_stream.settings import Settings
from audit_stream.verify.report import Verdict

if TYPE_CHECKING:
    from audit_stream.app.copied import TwinShown
    from audit_stream.archive.completeness import Completeness, Reached
    from audit_stream.archive.range import Range
    from audit_stream.evidence.completeness import Statement
    from audit_stream.evidence.digest import Digest
    from audit_stream.kafka.losses import Losses
    from audit_stream.keys.file import LoadedKeyring
    from audit_stream.notary.log import Head

_FOUND, _SHOWN = 1, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    statement: Statement
    note: str
    missing: Sequence[str]  # of a sender's list, without a terminal status
    shown: TwinShown | None  # of a rekeyed topic

    @property
    def lost_before(self) -> Mapping[tuple[str, int], Losses]:
        """What a rekeyed topic lost before it was copied, by (topic, partition)."""
        return {} if self.shown is None else self.shown.lost


def prove_complete(
    topic: Annotated[str, typer.Option(help="The archived topic.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339 time, UTC unless it says.")],
    stop: Annotated[str, typer.Option("--to", help="RFC 3339 time, not itself in the period.")],
    manifest: Annotated[
        Path | None,
        typer.Option(help="The sender's own list: a message id a line, or JSON lines with one."),
    ] = None,
    wait: Annotated[
        float, typer.Option(help="Of a rekeyed topic: seconds to wait until all is copied.")
    ] = 0.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the signed statement there.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """State, signed: of so many offsets of a topic over a period so many were archived, so many
    duplicates, …; unexplained 0. It is over whole segments, and names the first and last object.
    Of a rekeyed topic the broker is asked, too: all that is in the raw topic must be copied, and
    the archive be where the copies end. Every segment sealed since the period began counts.

    Exit 0: complete, nothing lost, nothing unresolved in quarantine, every message of the list has
    a terminal status. 1: not so. 2: wrong use. 3: it cannot be shown yet that the period is over in
    every partition: archive more, or run the notary with the broker at hand.
    """
    settings, out = Settings.load(config), Output(as_json)
    listed = frozenset(_ids(manifest)) if manifest else frozenset()
    try:
        proof = asyncio.run(
            _prove(settings, topic, _period(start, stop), listed, (start, stop), wait)
        )
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(Verdict.CANNOT_JUDGE.value) from error
    _show(out, proof, len(listed))
    if output is not None:
        write_result(output, proof.note.encode())
    said = proof.statement
    if said.lost or proof.lost_before or said.unexplained or said.unresolved or proof.missing:
        raise typer.Exit(_FOUND)
    if not said.is_over:
        raise typer.Exit(Verdict.CANNOT_JUDGE.value)


def _period(start: str, stop: str) -> Range:
    from audit_stream.archive.range import Range, parse_bound

    first, last = parse_bound(start, "--from"), parse_bound(stop, "--to")
    if not (first.is_time and last.is_time) or first.value >= last.value:
        raise ConfigError("--from and --to must be times, the first before the second")
    return Range(start=first, stop=last)


def _ids(path: Path) -> list[str]:
    """Message ids of a sender's list; the first column, or `message_id` or `message_uuid`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--manifest: cannot read {path}", hint="a UTF-8 text file") from error
    return [_id(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _id(line: str, number: int) -> str:
    if not line.lstrip().startswith("{"):
        return line.split(",", maxsplit=1)[0].strip().strip('"')
    try:
        value = orjson.loads(line)
        found = value.get("message_id") or value.get("message_uuid")
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, str):
        raise ConfigError(f"--manifest line {number} has no message_id")
    return found


async def _prove(
    settings: Settings, topic: str, period: Range, listed: frozenset[str], names: tuple[str, str],
    wait: float,
) -> _Proof:  # fmt: skip
    from audit_stream.app.copied import raw_of_twin, shown_by_copying
    from audit_stream.app.places import archive_to_read
    from audit_stream.archive.completeness import Prover
    from audit_stream.archive.range import TwinRange
    from audit_stream.keys.file import load_closed, log_signer
    from audit_stream.notary.log import ArchiveLog

    ring, store = load_closed(settings.keyring), archive_to_read(settings)
    try:
        assert period.stop is not None
        stop, shown = period.stop.value, None
        if raw_of_twin(topic) is not None:
            period = TwinRange(start=period.start, stop=period.stop)
            shown = await shown_by_copying(settings, store, ring.trusted, topic, stop, wait)
        head = await ArchiveLog(store, ring.log_key).head()
        reached: Reached = {} if head is None else _reached(head.digest, topic, stop)
        reached = reached if shown is None else shown.reached
        found = await Prover(store, ring.trusted, period, reached, listed).run(topic)
    finally:
        await store.close()
    if not found.stretches:
        raise ConfigError(f"the archive holds no stream of {topic}")
    if shown is not None and not shown.reached:  # also where the newest generation was ended
        for each in found.stretches:
            each.complete &= each.generation < found.stretches[-1].generation
    statement = _statement(ring, topic, names, found, head)
    note = log_signer(ring.keyring).sign(statement.line().decode() + "\n").encode().decode()
    missing = sorted(listed - found.listed)
    return _Proof(statement=statement, note=note, missing=missing, shown=shown)


def _reached(
    digest: Digest, topic: str, stop_ms: int
) -> dict[tuple[int, int], tuple[int, int | None]]:
    """How far archive and broker were at a time behind the period."""
    from datetime import datetime

    if datetime.fromisoformat(digest.time).timestamp() * 1000 < stop_ms:
        return {}
    return {
        (each.generation, each.partition): (each.archived_next, each.end)
        for each in digest.coverage if each.topic == topic
    }  # fmt: skip


def _statement(
    ring: LoadedKeyring, topic: str, names: tuple[str, str], found: Completeness,
    head: Head | None,
) -> Statement:  # fmt: skip
    from audit_stream.app.now import now
    from audit_stream.evidence.completeness import Statement
    from audit_stream.evidence.segment import lowest_assurance

    return Statement(
        archive=ring.keyring.archive, topic=topic, start=names[0], stop=names[1],
        made_at=now(), stretches=found.stretches,
        unexplained=found.unexplained, unresolved=found.unresolved,
        assurance=lowest_assurance(found.assurance),
        checkpoint=None if head is None else head.note.encode().decode(),
    )  # fmt: skip


def _show(out: Output, proof: _Proof, listed: int) -> None:
    statement = proof.statement
    out.document({
        "statement": orjson.loads(statement.line()), "note": proof.note,
        "listed": listed, "without_terminal_status": list(proof.missing),
        "lost_before_copying": [
            {"topic": topic, "partition": partition} | asdict(losses)
            for (topic, partition), losses in sorted(proof.lost_before.items())
        ],
    })  # fmt: skip
    columns = ["generation", "partition", "offsets", *MEANING.values(), "complete"]
    out.table(f"{statement.topic}, {statement.start} to {statement.stop}", columns, [
        _row(each.generation, each.partition, each.counts, each.offsets, each.complete)
        for each in statement.stretches
    ])  # fmt: skip
    for message in proof.missing[:_SHOWN]:
        out.say(f"WITHOUT A TERMINAL STATUS {message}")
    if listed:
        out.say(f"of {listed:,} messages on the list {len(proof.missing):,} have none")
    for each in statement.stretches:
        if lost := each.counts[LOST]:
            out.say(f"LOST generation {each.generation} partition {each.partition}: retention "
                    f"deleted {lost:,} offsets before they were archived")  # fmt: skip
    for (topic, partition), losses in sorted(proof.lost_before.items()):
        out.say(f"LOST {topic}/{partition}: retention deleted {losses.count} offsets between "
                f"{losses.first} and {losses.next} before they were copied")  # fmt: skip
    if proof.shown is not None and proof.shown.why:
        out.note(f"it cannot be shown yet: {proof.shown.why}")
    out.say(
        f"{_word(statement)}: {statement.counts.total():,} offsets, lost {statement.lost}, "
        f"unexplained {statement.unexplained}, "
        f"quarantined {statement.counts['q']} (unresolved {statement.unresolved}), assurance "
        f"{statement.assurance or 'none'}"
    )
    if statement.checkpoint is None:
        out.note("there is no archive log: nothing outside vouches for this statement")


def _word(statement: Statement) -> str:
    if statement.is_complete:
        return "COMPLETE"
    return "NOT SHOWN COMPLETE" if not statement.is_over else "NOT COMPLETE"


def _row(generation: int, partition: int, counts: Any, offsets: int, complete: bool) -> list[Any]:
    of_each = [counts[letter] for letter in MEANING]
    return [generation, partition, offsets, *of_each, "yes" if complete else "no"]
