"""`audit-stream privacy`: where personal data lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any

import typer

from audit_stream.app.privacy_map import Located, privacy_map
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.kafka.retention import FOR_EVER, Retention, Standing
from audit_stream.settings import Settings

app = typer.Typer(help="Where personal data lives.", no_args_is_help=True)
_DAY_MS = 86_400_000
_FOUND = 1


@app.callback()
def _group() -> None:
    """Where personal data lives."""


@app.command(name="map")
def map_(
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the broker; say what is declared.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Every place where personal data is or could be: in which form, who reads it, how long it
    stays, and how erasure reaches it.

    What lies beyond our reach is named, too. Exit 1 when a topic keeps records for longer than
    declared: an erasure takes effect only when they are gone.
    """
    settings, out = Settings.load(config), Output(as_json)
    found = asyncio.run(privacy_map(settings, ask=not offline))
    out.document([_document(each) for each in found])
    for line in _lines(found):
        out.say(line)
    standings = {each.standing for located in found for each in located.retentions}
    if Standing.UNREACHABLE in standings:
        out.note("the broker does not answer: retentions are as declared, not as in force")
    if Standing.LONGER in standings:
        raise typer.Exit(_FOUND)


def _document(each: Located) -> dict[str, Any]:
    place = each.place
    return {
        "name": place.name, "group": place.group.value, "form": place.form.value,
        "where": each.where, "holds": place.holds, "readers": place.readers, "kept": place.kept,
        "erasure": place.erasure,
        "retention": [
            {
                "topic": one.topic, "declared_ms": one.declared_ms,
                "in_force_ms": one.in_force_ms, "gone_after_ms": one.gone_after_ms,
                "standing": one.standing.value,
            }
            for one in each.retentions
        ],
    }  # fmt: skip


def _lines(found: Sequence[Located]) -> Iterator[str]:
    for group, some in groupby(found, key=lambda each: each.place.group):
        yield group.value
        for each in some:
            place = each.place
            yield f"  {place.name}: {place.form.value}"
            yield f"    where    {', '.join(each.where) or 'none here'}"
            yield f"    holds    {place.holds}"
            yield f"    readers  {place.readers}"
            yield f"    kept     {place.kept}"
            yield from (f"             {_kept(one)}" for one in each.retentions)
            yield f"    erasure  {place.erasure}"


def _kept(one: Retention) -> str:
    declared = f"{one.topic}: {_time(one.declared_ms)} declared"
    if one.in_force_ms is None or one.gone_after_ms is None:
        return f"{declared}; {one.standing.value}"
    gone = "" if one.gone_after_ms == FOR_EVER else (
        f", the last record gone after {_time(one.gone_after_ms)}"
    )  # fmt: skip
    mark = "" if one.standing is Standing.AS_DECLARED else f" ({one.standing.value.upper()})"
    return f"{declared}, {_time(one.in_force_ms)} in force{gone}{mark}"


def _time(milliseconds: int) -> str:
    if milliseconds == FOR_EVER:
        return "for ever"
    return f"{milliseconds / _DAY_MS:.1f} days".replace(".0 ", " ")
