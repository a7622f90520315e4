"""`audit-stream archive`: what there is to do with a whole archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.options import Config, Json, LogKey
from audit_stream.cli.output import Output
from audit_stream.cli.posture import check, lock
from audit_stream.cli.retain import retain
from audit_stream.cli.second import compare_stores, keys_of, mirror, repair
from audit_stream.cli.verify import trusted_keys
from audit_stream.errors import ConfigError, ForkAlarm, FormatError, StoreError
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.archive.compare import PartitionComparison

_FOUND, _CANNOT_JUDGE = 1, 3
_COLUMNS = (
    "topic", "generation", "partition", "offsets in both", "records", "erased", "other records",
    "other dispositions", "only in A", "only in B",
)  # fmt: skip

app = typer.Typer(
    help="Whole archives: how one is protected; keep it longer; its second store; compare two.",
    no_args_is_help=True,
)
app.command()(check)
app.command()(lock)
app.command()(retain)
app.command()(mirror)
app.command()(repair)


@app.callback()
def _group() -> None:
    """Whole archives."""


@app.command()
def compare(
    a: Annotated[
        str | None,
        typer.Argument(metavar="A", help="URL, as file:///… or azure://….", show_default=False),
    ] = None,
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="URL of the other one.", show_default=False),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Of A and B, too, compare every object.")
    ] = False,
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; repeatable.")] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Offsets that only one covers are no difference.")
    ] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Trusted public key, or a file with it; repeatable."),
    ] = None,
    log_key: LogKey = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Compare the archive with its second store, or two archives of the same topics.

    Without A and B: every object of AUDIT_ARCHIVE and AUDIT_ARCHIVE_SECONDARY, byte by byte; of
    what is not the same, which one is right by signature, hash, chain and log. With A and B: their
    record lines and dispositions, whatever their cuts.

    Without --key, the keyring's public keys are trusted. Hashes and chains are `verify`'s.

    Exit 0: the same. 1: something differs. 2: wrong use. 3: cannot judge: one of them cannot be
    read, or is not what its names say.
    """
    settings = Settings.load(config)
    out = Output(as_json)
    if (a is None) != (b is None):
        raise ConfigError("one archive alone cannot be compared", hint="name two, or none")
    pair = None if a is None or b is None else (a, b)
    if pair is None or objects:
        if topic or common:
            raise ConfigError(
                "--topic and --common are for the record lines of two archives",
                hint="name A and B, without --objects",
            )
        raise typer.Exit(compare_stores(settings, out, pair, keys_of(settings, key, log_key)))
    began = time.monotonic()
    keys = trusted_keys(settings, key or [])
    try:
        found = asyncio.run(_compare(settings, *pair, keys, topic, out))
    except (StoreError, FormatError, ForkAlarm) as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error
    raise typer.Exit(_say(out, found, common, time.monotonic() - began))


async def _compare(
    settings: Settings, a: str, b: str, keys: TrustedKeys, topics: list[str] | None, out: Output
) -> list[PartitionComparison]:
    from audit_stream.app.places import store_to_read
    from audit_stream.archive.compare import ArchiveComparison

    access = settings.store_access()
    one, other = store_to_read(a, access), store_to_read(b, access)
    try:
        with out.progress() as progress:
            task = progress.add_task("comparing", total=None, rate="")
            comparison = ArchiveComparison(one, other, keys)
            parts = comparison.run(topics, lambda offsets: progress.advance(task, offsets))
            return [part async for part in parts]
    finally:
        await one.close()
        await other.close()


def _say(out: Output, found: Sequence[PartitionComparison], common: bool, seconds: float) -> int:
    differs = any(not part.same or not (common or part.complete) for part in found)
    offsets = sum(part.compared for part in found)
    code = _FOUND if differs else 0 if offsets else _CANNOT_JUDGE
    word = {0: "EQUAL", _FOUND: "DIFFERS", _CANNOT_JUDGE: "CANNOT JUDGE"}[code]
    out.document(_document(found, word, seconds))
    out.table("Two archives", _COLUMNS, [_row(part) for part in found])
    for part in found:
        for difference in part.differences:
            out.say(f"DIFFERS {difference}")
    records = sum(part.records for part in found)
    out.say(f"{word}: {offsets:,} offsets and {records:,} records in both, {seconds:.1f} s")
    return code


def _row(part: PartitionComparison) -> Sequence[object]:
    return (
        part.topic, part.generation, part.partition, part.compared, part.records, part.erased,
        part.other_records, part.other_dispositions, _ranges(part.only_a), _ranges(part.only_b),
    )  # fmt: skip


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{start} to {stop - 1}" for start, stop in ranges) or "-"


def _document(
    found: Sequence[PartitionComparison], word: str, seconds: float
) -> dict[str, Any]:  # fmt: skip
    return {
        "verdict": word.lower().replace(" ", "_"),
        "seconds": round(seconds, 3),
        "partitions": [asdict(part) for part in found],
    }
