"""`audit-stream verify`: prove an archive with nothing but its objects and a public key."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.app.places import archive_reader
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError, FormatError, StoreError
from audit_stream.evidence.encoding import b64u_decode, hex_decode
from audit_stream.evidence.ledger import MEANING
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.settings import Settings
from audit_stream.stores.blocking import BlockingReader
from audit_stream.verify.archive import ArchiveVerifier
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
    from audit_stream.keys.file import load_keyring

    return load_keyring(settings.keyring).trusted


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
    archive: Annotated[
        str | None, typer.Option(help="AUDIT_ARCHIVE, as azure://… or file:///….")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Verify every object: form, signatures, hashes, chain, revisions. Names the first thing wrong.

    Needs the archive and a public key, nothing else; without --key, the keyring's is used.

    Exit 0: verified. 1: something is wrong. 2: wrong use. 3: cannot judge: a newer release wrote
    something, or the archive cannot be read.
    """
    settings = Settings.load(config, archive=archive)
    out = Output(as_json)
    keys, wanted = trusted_keys(settings, key or []), _parse_part(part)
    started = time.monotonic()
    try:
        with archive_reader(settings) as reader:
            verifier = archive_verifier(reader, keys, wanted)
            _run(verifier, out)
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(Verdict.CANNOT_JUDGE.value) from error
    report(out, verifier.report, time.monotonic() - started)
    if verifier.report.verdict is not Verdict.VERIFIED:
        raise typer.Exit(verifier.report.verdict.value)


def archive_verifier(reader: BlockingReader, keys: TrustedKeys, part: Part) -> ArchiveVerifier:
    """A verifier of `part`, whose objects are fetched ahead."""
    names = _names(reader, part)
    reader.expect([name for name in names if name.startswith("segments/")])  # each is read once
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
    names = [name for prefix in part.prefixes for name in reader.names(prefix) if part.holds(name)]
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
        "seconds": round(seconds, 3),
        "problems": [str(problem) for problem in found.problems],
        "unknown": [str(problem) for problem in found.unknown],
        "notes": list(found.notes),
    }


def _by_meaning(counts: Counter[str]) -> dict[str, int]:
    return {meaning: counts[letter] for letter, meaning in MEANING.items()}
