"""Who must find which tampering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from docs.generator.markdown import table
from tests.campaigns.tampering.table import GROUPS, KINDS, NOT_ASKED, SHOWN, Finder, Kind

_HEAD = """# Tampering

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


def page() -> str:
    """Who must find which tampering."""
    spared = (why for kind in KINDS for why in kind.spared.values())
    reasons = [why for why in dict.fromkeys(spared) if why not in (SHOWN, NOT_ASKED)]
    parts = [_HEAD]
    for group, title in GROUPS.items():
        rows = list(_rows([kind for kind in KINDS if kind.group == group], reasons))
        heads = [finder.value for finder in Finder]
        parts.append(f"\n## {title}\n\n" + table(["what", "how", *heads], rows))
    notes = "".join(f"{number}. {why}\n" for number, why in enumerate(reasons, start=1))
    return "".join((*parts, "\n## Why not\n\n", notes))


def _rows(kinds: Sequence[Kind], reasons: list[str]) -> Iterator[list[str]]:
    """Ways that are found by the same ones are one row."""
    for (what, spared), some in groupby(kinds, key=lambda kind: (kind.what, dict(kind.spared))):
        hows = "; ".join(kind.how for kind in some)
        cells = []
        for finder in Finder:
            why = spared.get(finder, "must")
            cells.append(str(reasons.index(why) + 1) if why in reasons else why)
        yield [what, hows, *cells]
