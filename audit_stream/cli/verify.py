"""`audit-stream verify`: prove an archive with nothing but its objects and a public key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.encoding import b64u_decode, hex_decode
from audit_stream.evidence.ledger import MEANING
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from audit_stream.stores.open import file_path
from audit_stream.verify.archive import ArchiveVerifier
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

    return TrustedKeys(load_keyring(settings.keyring).signer.public)


def verify(
    part: Annotated[
        str, typer.Argument(help="Only names under this: a topic, topic/generation/partition.")
    ] = "",
    key: Annotated[list[str] | None, typer.Option(help="Trusted public key; repeatable.")] = None,
    archive: Annotated[str | None, typer.Option(help="AUDIT_ARCHIVE, as file:///path.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:
    """Verify every object: form, signatures, hashes, chain, revisions. Names the first thing wrong.

    Exit 0: verified. 1: something is wrong. 3: a newer release wrote something.
    """
    settings = Settings.load(config, archive=archive)
    out = Output(as_json)
    store = FileStore(file_path(settings.archive), read_only=True)
    verifier = ArchiveVerifier(
        _names(store, part), store.get_sync, trusted_keys(settings, key or [])
    )
    started = time.monotonic()
    _run(verifier, out)
    seconds = time.monotonic() - started
    report(out, verifier.report, seconds)
    if verifier.report.verdict is not Verdict.VERIFIED:
        raise typer.Exit(verifier.report.verdict.value)


def _names(store: FileStore, part: str) -> list[str]:
    if not part:
        names = list(store.walk_sync(""))
    else:
        prefix = part if part.startswith("segments/") else f"segments/{part}"
        names = [*store.names_sync("streams/"), *store.walk_sync(prefix)]
    if not names:
        raise ConfigError(
            "there is no archive here", hint="check AUDIT_ARCHIVE and the part's name"
        )
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
    out.document(
        {
            "verdict": found.verdict.name.lower(),
            "segments": found.segments,
            "records": found.records,
            "offsets": found.offsets,
            "dispositions": {MEANING[k]: v for k, v in found.dispositions.items()},
            "assurance": dict(found.assurance),
            "seconds": round(seconds, 3),
            "problems": [str(problem) for problem in found.problems],
            "unknown": [str(problem) for problem in found.unknown],
            "notes": found.notes,
        }
    )
    rows = [
        (topic, *(counter[letter] for letter in MEANING))
        for topic, counter in sorted(found.by_topic.items())
    ]
    out.table("Verified offsets by disposition", ["topic", *MEANING.values()], rows)
    for problem in (*found.problems[:_SHOWN], *found.unknown[:_SHOWN]):
        out.say(f"WRONG {problem}" if problem in found.problems else f"UNKNOWN {problem}")
    for note in found.notes[:_SHOWN]:
        out.say(f"note: {note}")
    rate = found.records / max(seconds, 1e-3)
    out.say(
        f"{found.verdict.name}: {found.records:,} records in {found.segments:,} segments of "
        f"{found.streams} streams, {seconds:.1f} s ({rate:,.0f} records/s), assurance "
        f"{', '.join(sorted(found.assurance)) or 'none'}"
    )
