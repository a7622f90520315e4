"""Write docs/reference from the code; ``--check`` fails when a page is stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from audit_stream.cli.main import COMMANDS, EPILOG
from audit_stream.kafka.retention import FOR_EVER, Standing, unasked
from audit_stream.kafka.topics import load_topic, topics_dir
from audit_stream.precedence.matrix import MATRIX, STATUSES
from audit_stream.privacy.place import At, Where
from audit_stream.privacy.places import PLACES
from audit_stream.settings import Settings, env_name
from audit_stream.telemetry.catalogue import (
    CATALOGUE,
    PREFIX,
    PROCESS,
    RECONCILED,
    RECONCILED_PREFIX,
    Metric,
)

sys.path.insert(0, str(Path(__file__).parents[1]))  # the campaign is no part of the package
from tests.campaigns.tampering.table import GROUPS, KINDS, NOT_ASKED, SHOWN, Finder, Kind

REFERENCE = Path(__file__).parent / "reference"
_DISPOSITION = {"a": "archived", "d": "duplicate", "r": "regressed"}


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    cells = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def settings_page() -> str:
    """Every setting by group."""
    parts = ["# Settings\n\nFlag, environment variable, or line of a TOML file, in this order.\n"]
    for group in Settings.groups():
        rows = []
        for name, field in group.model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            default = extra.get("shown_default", field.default)
            shown = getattr(default, "label", default)
            if isinstance(shown, tuple | dict):
                shown = ", ".join(map(str, shown))
            shown = "none" if shown in (None, "") else shown
            rows.append([f"`{env_name(name)}`", f"{shown}", field.description or ""])
        parts.append(f"\n## {(group.__doc__ or '').strip()}\n\n")
        parts.append(table(["setting", "default", "meaning"], rows))
    return "".join(parts)


def metrics_page() -> str:
    """The metric catalogues."""
    return (
        "# Metrics\n\nServed by each worker on `/metrics`. What they are for: "
        "[monitoring](../how-to/monitoring.md).\n\n"
        + _metrics(PREFIX, CATALOGUE)
        + "\n## Any process\n\nServed beside them.\n\n"
        + _metrics("", PROCESS)
        + "\n## Proved\n\nWritten by `audit-stream reconcile --textfile FILE.prom`, which reads "
        "the whole archive.\n\n" + _metrics(RECONCILED_PREFIX, RECONCILED)
    )


def _metrics(prefix: str, catalogue: Sequence[Metric]) -> str:
    rows = [[f"`{prefix}{m.name}`", m.kind, ", ".join(m.labels) or "-", m.help] for m in catalogue]
    return table(["metric", "kind", "labels", "meaning"], rows)


def precedence_page() -> str:
    """The matrix."""
    rows = [
        [held or "nothing", *(_DISPOSITION[MATRIX[held, came]] for came in STATUSES)]
        for held in (None, *STATUSES)
    ]
    return (
        "# Precedence\n\nEXPIRED > FAILED > READ > DELIVERED. Rows: what is held; columns: what "
        "comes.\n\n" + table(["held", *STATUSES], rows)
    )


def cli_page() -> str:
    """The commands."""
    rows = [[f"`audit-stream {name}`", entry.help] for name, entry in COMMANDS.items()]
    return (
        "# Commands\n\n" + table(["command", "what it does"], rows) + f"\n{EPILOG}\n\nExit codes: "
        "0 good, 1 found something wrong, 2 wrong use, 3 cannot judge, 70 internal.\n"
    )


def tampering_page() -> str:
    """Who must find which tampering."""
    spared = (why for kind in KINDS for why in kind.spared.values())
    reasons = [why for why in dict.fromkeys(spared) if why not in (SHOWN, NOT_ASKED)]
    parts = [_TAMPERING]
    for group, title in GROUPS.items():
        rows = list(_tampering_rows([kind for kind in KINDS if kind.group == group], reasons))
        heads = [finder.value for finder in Finder]
        parts.append(f"\n## {title}\n\n" + table(["what", "how", *heads], rows))
    notes = "".join(f"{number}. {why}\n" for number, why in enumerate(reasons, start=1))
    return "".join((*parts, "\n## Why not\n\n", notes))


_TAMPERING = """# Tampering

Who must find what. `make tampering` does each of these to a whole archive, or to a bundle of it,
thousands of times, and everyone is asked; a short form of it runs with the tests. An auditor has
the public keys, a policy of their own and checkpoints that were kept outside.

- **must**: it says that something is wrong, or gives nothing out. For the verifiers of bundles, an
  export that is refused counts: no bundle comes of it. The API is asked for a message that was
  touched, with an index made from what is there now, and with one from before.
- **shown**: it answers, and the `as_of` of its answer is not the kept checkpoint: who holds one
  sees it.
- A number: it need not, and why. Also then it never vouches for anything that is not so.
- -: it is not asked.

flipped: one bit; cut: its end; swapped: two of a kind; doubled: once more under a free name. A
field is one bit of it; all signed to fit: whatever depends on it was made anew with the archive's
own keys.
"""


def _tampering_rows(kinds: Sequence[Kind], reasons: list[str]) -> Iterator[list[str]]:
    """Ways that are found by the same ones are one row."""
    for (what, spared), some in groupby(kinds, key=lambda kind: (kind.what, dict(kind.spared))):
        hows = "; ".join(kind.how for kind in some)
        cells = []
        for finder in Finder:
            why = spared.get(finder, "must")
            cells.append(str(reasons.index(why) + 1) if why in reasons else why)
        yield [what, hows, *cells]


_PERSONAL = """# Personal data

Every place where personal data of a recipient, or what links to one, is or could be. `audit-stream
privacy map` says the same of your installation, with the retentions in force. A test plants known
persons, runs everything there is, and finds them nowhere but in the places that are *clear* here;
what no row names fails it. How to use it: [personal data](../how-to/personal-data.md).

- **clear**: readable by whoever reads the place.
- **encrypted**: readable with a key only, which an erasure destroys.
- **pseudonymous**: leads to a person for who has another system, or the keyring and a guess.
- **keys**: no data, but what opens the encrypted.
- **none**: neither.
"""


def personal_data_page() -> str:
    """The map of places."""
    parts = [_PERSONAL]
    for group, places in groupby(PLACES, key=lambda place: place.group):
        rows = [
            [f"**{place.name}**: {'; '.join(map(_location, place.at))}", place.form.value,
             place.holds, place.readers, place.kept, place.erasure]
            for place in places
        ]  # fmt: skip
        heads = ["place", "form", "holds", "who reads it", "kept", "what erasure does"]
        parts.append(f"\n## {group.value}\n\n" + table(heads, rows))
    parts.append("\n## Retention of topics, as declared\n\n" + _retentions())
    return "".join(parts)


def _location(at: At) -> str:
    name = env_name(at.name) if at.where is Where.SETTING else at.name
    return f"{at.where.value} `{name}`" if at.where in _SPELLED else name


_SPELLED = frozenset(Where) - {Where.SAID, Where.FILE, Where.BEYOND}


def _retentions() -> str:
    files = sorted(topics_dir().glob("*.yaml"))
    rows = []
    for topic in map(load_topic, files):
        kept = unasked(topic, Standing.NOT_ASKED).declared_ms
        days = (
            "for ever (the last of each key)" if kept == FOR_EVER else f"{kept // 86_400_000} days"
        )
        rows.append([f"`{topic.topic}`", topic.pii, days])
    return table(["topic", "declared `pii`", "kept"], rows)


PAGES = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "precedence.md": precedence_page,
    "cli.md": cli_page,
    "tampering.md": tampering_page,
    "personal-data.md": personal_data_page,
}


def main(check: bool) -> int:
    """Write, or compare."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run `make docs`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
