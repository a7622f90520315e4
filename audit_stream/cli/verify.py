"""`audit-stream verify`: prove an archive with nothing but its objects and a public key."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.app import interpreter
from audit_stream.app.places import archive_reader
from audit_stream.app.trust import read_given
from audit_stream.cli.options import Config, Json, LogKey
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError, FormatError, StoreError
from audit_stream.evidence.checkpoint import Checkpoint, open_checkpoint
from audit_stream.evidence.encoding import b64u_decode, hex_decode
from audit_stream.evidence.ledger import MEANING
from audit_stream.evidence.note import NoteKey, parse_vkey
from audit_stream.evidence.register import parse_entry_name
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.settings import Settings
from audit_stream.stores.blocking import BlockingReader
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.part import Part, parse_part
from audit_stream.verify.report import Report, Verdict

_SHOWN = 20


def parse_public_key(text: str) -> bytes:
    """A public key given as hex, base64url, or a file holding either."""
    path = Path(text)
    if path.is_file():
        text = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        return hex_decode(text, "key") if len(text) == 64 else b64u_decode(text, "key", 32)
    except FormatError:
        raise ConfigError(
            "--key is neither 32 bytes in hexadecimal or base64url nor a file holding them",
            hint="print it with: audit-stream keyring public",
        ) from None


def trusted_keys(settings: Settings, given: list[str]) -> TrustedKeys:
    """The keys given, or the keyring's own public key."""
    if given:
        return TrustedKeys(*map(parse_public_key, given))
    from audit_stream.keys.file import load_closed

    return load_closed(settings.keyring).trusted


def log_key_of(settings: Settings, given: str | None) -> NoteKey:
    """The log key given, or the keyring's own."""
    if given is not None:
        return parse_vkey(given)
    from audit_stream.keys.file import load_closed

    return load_closed(settings.keyring).log_key


def verify(
    part: Annotated[
        str,
        typer.Argument(
            help="TOPIC, TOPIC/PARTITION, TOPIC/GENERATION/PARTITION or an object's name; all if "
            "left out."
        ),
    ] = "",
    key: Annotated[
        list[str] | None,
        typer.Option(help="Trusted public key, or a file with it; repeatable."),
    ] = None,
    log_key: LogKey = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that was kept elsewhere; repeatable."),
    ] = None,
    archive: Annotated[
        str | None, typer.Option(help="AUDIT_ARCHIVE, as azure://… or file:///….")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Verify every object: form, signatures, hashes, chain, revisions, the archive log. Names the
    first thing wrong.

    Needs the archive and the public keys of segments and log; without --key, the keyring's are
    used. What was cut off at the end shows only against a --checkpoint that was kept elsewhere.

    Exit 0: verified. 1: something is wrong. 2: wrong use. 3: cannot judge: a newer release wrote
    something, or the archive cannot be read.
    """
    settings = Settings.load(config, archive=archive)
    out = Output(as_json)
    keys, wanted = trusted_keys(settings, key or []), _parse_part(part)
    log_wanted = None if key and log_key is None else log_key_of(settings, log_key)
    kept = _kept(checkpoint or [], log_wanted)
    if kept and wanted.topic is not None:
        raise ConfigError("--checkpoint is of the whole archive", hint="name no part of it")
    started = time.monotonic()
    interpreter.tune_for_reading()
    try:
        with archive_reader(settings) as reader:
            verifier = archive_verifier(reader, keys, wanted)
            _run(verifier, out)
            found = with_log(verifier, reader, wanted, log_wanted, kept)
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(Verdict.CANNOT_JUDGE.value) from error
    report(out, found, time.monotonic() - started)
    if found.verdict is not Verdict.VERIFIED:
        raise typer.Exit(found.verdict.value)


def _kept(paths: Sequence[Path], key: NoteKey | None) -> list[Checkpoint]:
    """Checkpoints that were kept, each signed by the log's key."""
    if paths and key is None:
        raise ConfigError("--checkpoint needs --log-key", hint="print it: audit-stream log key")
    return [open_checkpoint(read_given(path), key, str(path))[0] for path in paths if key]


def with_log(
    verifier: ArchiveVerifier, reader: BlockingReader, part: Part, key: NoteKey | None,
    kept: Sequence[Checkpoint] = (),
) -> Report:  # fmt: skip
    """The report, with the archive log held against the objects that were verified."""
    found = verifier.report
    if part.topic is not None:
        return _noted(found, "V16-V24: not judged for a part: verify the whole archive")
    if not (verifier.log_names or kept):
        return _noted(found, "there is no archive log yet")
    if key is None:
        return _noted(found, "V16-V24: the archive log was not judged: give --log-key")
    log = LogVerifier(verifier.log_names, reader.get, key, verifier.leaves, kept)
    return found.with_log(log.run())


def _noted(found: Report, note: str) -> Report:
    return replace(found, notes=[*found.notes, note])


def archive_verifier(reader: BlockingReader, keys: TrustedKeys, part: Part) -> ArchiveVerifier:
    """A verifier of `part`, whose objects are fetched ahead."""
    names = _names(reader, part)
    entries = sorted(name for name in names if parse_entry_name(name) is not None)
    segments = [name for name in names if name.startswith("segments/")]
    reader.expect([*segments, *entries])  # each is read once
    return ArchiveVerifier(names, reader.get, keys, part)


def _parse_part(text: str) -> Part:
    part = parse_part(text)
    if part is None:
        raise ConfigError(
            "this is no part of an archive",
            hint="name a topic, topic/partition, topic/generation/partition or an object",
        )
    return part


def _names(reader: BlockingReader, part: Part) -> list[str]:
    names = part.names(reader.names)
    if not part.is_there(names):
        raise ConfigError(
            "there is nothing of this part in the archive" if part.topic else
            "there is no archive here",
            hint="check AUDIT_ARCHIVE and the part's name",
        )  # fmt: skip
    return names


def _run(verifier: ArchiveVerifier, out: Output) -> None:
    with out.progress() as progress:
        task = progress.add_task("verifying", total=verifier.size, rate="")
        started, records = time.monotonic(), 0
        for count in verifier.run():
            records += count
            rate = records / max(time.monotonic() - started, 1e-3)
            progress.update(task, advance=1, rate=f"{rate:,.0f} records/s")


def report(out: Output, found: Report, seconds: float) -> None:
    """Say what was verified; the first problem is the first line after the table."""
    out.document(_document(found, seconds))
    rows = [
        (topic, *(counter[letter] for letter in MEANING))
        for topic, counter in found.by_topic.items()
    ]
    out.table("Verified offsets by disposition", ["topic", *MEANING.values()], rows)
    _say_some(out, "WRONG", found.problems)
    _say_some(out, "UNKNOWN", found.unknown)
    _say_some(out, "note:", found.notes)
    rate = found.records / max(seconds, 1e-3)
    out.say(
        f"{found.verdict.name}: {found.records:,} records in {found.segments:,} segments of "
        f"{found.streams} streams, {seconds:.1f} s ({rate:,.0f} records/s), assurance "
        f"{', '.join(sorted(found.assurance)) or 'none'}"
    )
    if found.disposed[0]:
        out.say(
            f"disposed of: {found.disposed[1]:,} records in {found.disposed[0]:,} segments, of "
            "which the headers are left"
        )
    if found.log is not None:
        out.say(f"archive log: {found.log.size} leaves, the last digest of {found.log.time}")


def _say_some(out: Output, word: str, items: Sequence[object]) -> None:
    for item in items[:_SHOWN]:
        out.say(f"{word} {item}")
    if len(items) > _SHOWN:
        out.say(f"{word} … and {len(items) - _SHOWN:,} more: see --json")


def _document(found: Report, seconds: float) -> dict[str, object]:
    return {
        "verdict": found.verdict.name.lower(),
        "segments": found.segments,
        "records": found.records,
        "offsets": found.offsets,
        "dispositions": _by_meaning(found.dispositions),
        "partitions": [
            {"topic": topic, "partition": partition, "dispositions": _by_meaning(counts)}
            for (topic, partition), counts in sorted(found.by_partition.items())
        ],
        "assurance": dict(found.assurance),
        "disposed": {"segments": found.disposed[0], "records": found.disposed[1]},
        "seconds": round(seconds, 3),
        "problems": [str(problem) for problem in found.problems],
        "unknown": [str(problem) for problem in found.unknown],
        "notes": list(found.notes),
        "log": None
        if found.log is None
        else {
            "size": found.log.size,
            "time": found.log.time,
            "newer": found.log.newer,
        },
    }


def _by_meaning(counts: Counter[str]) -> dict[str, int]:
    return {meaning: counts[letter] for letter, meaning in MEANING.items()}
