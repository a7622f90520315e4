"""Who must find what: the campaign asserts it, and docs/reference/tampering.md shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Finder(Enum):
    """Who is asked; the value is its heading."""

    VERIFY = "`verify`"
    FRESH = "API, index made anew"
    KNOWN = "API, index from before"
    PROGRAM = "`verify.py`"
    PAGE = "`verify.html`"


#: It answers, and names a log that is not the kept one: whoever holds a checkpoint sees it.
SHOWN = "shown"
#: The archive is as it was: only a bundle was changed.
NOT_ASKED = "-"
BARE, FITTED = "a field", "a field, all signed to fit"
GROUPS = {
    "archive": "Objects of the archive",
    "fields": "Each field of each format",
    "insiders": "Insiders, and whole histories",
    "subjects": "Beside the archive",
    "bundle": "Evidence bundles, the manifest as it was",
    "forged": "Evidence bundles, the manifest and the zip made to fit",
}

_OTHER = "It is about nothing that this message's bundle holds."
_END = "An end holds no record: nothing that is answered or exported rests on it."
_END_SIGNED = (
    "An end is no leaf of the log. Who holds the segment key can sign another time into it; "
    "the next stream object, which is a leaf, names the segment that it stands behind."
)
_STREAM = "What is answered is proven by the segment; where chains begin was read before, or fits."
_MAP = "A look-up reads no status map; a bundle holds it."
_UNNAMED = "No header names it."
_NAME = "The name beside a leaf is outside the tree; the leaf itself is proven."
_LAST = "Only the newest batch is read again: the index has the leaves of those before it."
_BEYOND = "The log does not lead there, so nobody reads it."
_CACHE = "Tiles are a cache: where one is missing or wrong, the batches are read."
_ANCHOR = "The answer only says less: that nobody outside vouches for the log."
_WITNESS = "Of a witness's note only the witness's own line counts; the rest is the checkpoint's."
_TSA = "A token is judged by who names its authority, and is one more anchor to who does not."
_JOURNAL = "Answers and bundles do not rest on the journals of who read."
_REGISTER = (
    "A record is proven without the registers, which say what was declared of the archive later."
)
_JUNK = "What nobody trusted signed is no entry: it is passed over, and `verify` notes it."
_VOUCHED = "A bundle ends at the checkpoint that others vouch for; this stands behind it."
_SUBJECTS = (
    "Subject objects lie outside the archive and may be rewritten: they say whose a record is, not "
    "what it says. The personal fields are closed, or not found by customer."
)
_NOT_BUNDLE = "Only the manifest vouches for it ([the bundle](../spec/bundle.md) says so)."
_RANGE = "Which certificates there are, only the exporter says: each that is shown is proven."
_PII = "Encrypted fields are outside the integrity hash: the archive's keys tell."
_LATER = "That nothing later exists, no bundle can show; only the signed answer claims it."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of mutation: what is changed, and how. `spared` has the finders that need not find it:
    `SHOWN`, `NOT_ASKED` or why; all others must."""

    group: str
    what: str
    how: str
    spared: Mapping[Finder, str]

    @property
    def name(self) -> str:
        """In one line."""
        return f"{self.what}: {self.how}"

    def must(self, finder: Finder) -> bool:
        """Whether it has to say that something is wrong, or give nothing out."""
        return finder not in self.spared


def _kind(group: str, what: str, how: str, *, verify: str = "", fresh: str = "", known: str = "",
          bundle: str = "") -> Kind:  # fmt: skip
    said = {Finder.VERIFY: verify, Finder.FRESH: fresh, Finder.KNOWN: known,
            Finder.PROGRAM: bundle, Finder.PAGE: bundle}  # fmt: skip
    return Kind(group, what, how, {finder: why for finder, why in said.items() if why})


def _each(group: str, what: str, hows: str, **spared: str) -> Iterator[Kind]:
    for how in hows.split(", "):
        yield _kind(group, what, how, **spared)


def _api(why: str) -> dict[str, str]:
    return {"fresh": why, "known": why}


def _objects() -> Iterator[Kind]:
    group = "archive"
    yield from _each(group, "segment", "flipped, dropped, cut, swapped")
    yield _kind(group, "segment", "doubled", bundle=_OTHER)
    yield from _each(group, "end", "flipped, dropped, cut", **_api(_END), bundle=_END)
    yield _kind(group, "end", "doubled", bundle=_END)
    yield from _each(group, "stream object", "flipped, cut, swapped, doubled", bundle=_OTHER)
    yield _kind(group, "stream object", "dropped", known=_STREAM, bundle=_OTHER)
    yield from _each(group, "status map", "flipped, dropped, cut", **_api(_MAP))
    yield _kind(group, "status map", "doubled", verify=_UNNAMED, **_api(_MAP), bundle=_UNNAMED)
    yield _kind(group, "batch", "flipped", fresh=_NAME, known=_LAST, bundle=_NAME)
    yield _kind(group, "batch", "dropped", fresh=SHOWN, known=_LAST, bundle=_VOUCHED)
    yield from _each(group, "batch", "cut, swapped", known=_LAST)
    yield _kind(group, "batch", "doubled", **_api(_BEYOND), bundle=_BEYOND)
    yield from _each(group, "tile", "flipped, cut, doubled", **_api(_CACHE), bundle=_CACHE)
    yield _kind(group, "tile", "dropped", verify=_CACHE, **_api(_CACHE), bundle=_CACHE)
    yield _kind(group, "witness's note", "flipped", **_api(_ANCHOR), bundle=_WITNESS)
    yield from _each(group, "witness's note", "dropped, cut", **_api(_ANCHOR))
    yield _kind(group, "witness's note", "doubled", **_api(_ANCHOR), bundle=_BEYOND)
    yield from _each(group, "timestamp", "flipped, dropped, cut, doubled", **_api(_ANCHOR),
                     bundle=_TSA)  # fmt: skip
    yield from _each(group, "journal part", "flipped, dropped, cut, swapped, doubled",
                     **_api(_JOURNAL), bundle=_JOURNAL)  # fmt: skip
    yield from _each(group, "register entry", "flipped, dropped, cut, swapped, doubled",
                     **_api(_REGISTER), bundle=_REGISTER)  # fmt: skip


def _fields() -> Iterator[Kind]:
    group = "fields"
    for what in ("segment, line 1", "record line"):
        yield from (_kind(group, what, how) for how in (BARE, FITTED))
    yield _kind(group, "segment, signature", BARE)
    yield _kind(group, "end, line 1", BARE, **_api(_END), bundle=_END)
    yield _kind(group, "end, line 1", FITTED, verify=_END_SIGNED, **_api(_END), bundle=_END)
    yield _kind(group, "end, signature", BARE, **_api(_END), bundle=_END)
    yield _kind(group, "stream object, line 1", BARE, bundle=_OTHER)
    yield _kind(group, "stream object, line 1", FITTED, **_api(_STREAM), bundle=_OTHER)
    yield _kind(group, "stream object, signature", BARE, bundle=_OTHER)
    yield _kind(group, "status map", BARE, **_api(_MAP))
    yield _kind(group, "batch", BARE, known=_LAST)
    yield _kind(group, "name of a leaf", BARE, **_api(_NAME), bundle=_NAME)
    yield from (_kind(group, "checkpoint", how, known=_LAST) for how in (BARE, FITTED))
    for leaf in ("key", "stream", "segment", "redaction", "digest", "anchor", "access"):
        behind = "" if leaf in ("key", "stream", "segment") else _VOUCHED
        yield _kind(group, f"leaf audit-{leaf}", BARE, known=_LAST)
        yield _kind(group, f"leaf audit-{leaf}", FITTED, fresh=SHOWN, bundle=behind)
    yield _kind(group, "witness's note", BARE, **_api(_ANCHOR), bundle=_WITNESS)
    yield _kind(group, "journal part, line 1", BARE, **_api(_JOURNAL), bundle=_JOURNAL)
    for how in (BARE, FITTED):
        yield _kind(group, "journal entry", how, **_api(_JOURNAL), bundle=_JOURNAL)
        yield _kind(group, "register entry, line 1", how, **_api(_REGISTER), bundle=_REGISTER)
    yield _kind(group, "register entry, signature", BARE, **_api(_REGISTER), bundle=_REGISTER)


def _insiders() -> Iterator[Kind]:
    group = "insiders"
    yield _kind(group, "segment", "signed by another key")
    yield _kind(group, "chain", "signed by another key from one segment on")
    for how in ("given another status", "removed", "reordered", "added"):
        yield _kind(group, "record", f"{how}, all signed to fit")
    yield _kind(group, "ledger", "another disposition, all signed to fit")
    yield _kind(group, "chain", "its last segment dropped")
    yield _kind(group, "log", "its last batches dropped", fresh=SHOWN, bundle=_VOUCHED)
    yield _kind(group, "chain and log", "both cut off at one place", fresh=SHOWN)
    yield _kind(group, "chain and log", "cut off, the log signed anew by its key", fresh=SHOWN)
    yield _kind(group, "log", "rewritten by its key", fresh=SHOWN, bundle=_VOUCHED)
    yield _kind(group, "log", "signed anew by another key")
    yield _kind(group, "history", "replaced by who holds every key", fresh=SHOWN)
    beside = {**_api(_REGISTER), "bundle": _REGISTER}
    for how in ("signed by another key", "renumbered, signed to fit"):
        yield _kind(group, "register entry", how, **beside)
    for how in ("two entries reordered, all signed to fit", "its last entry dropped",
                "an entry of another archive put in"):  # fmt: skip
        yield _kind(group, "register", how, **beside)
    yield _kind(group, "register", "junk put in", verify=_JUNK, **beside)
    for how in ("twice", "left out"):
        yield _kind(group, "log", f"an entry of a register {how}, signed by its key", fresh=SHOWN,
                    bundle=_VOUCHED)  # fmt: skip
    yield from _each("subjects", "subject object", "flipped, dropped, swapped", verify=_SUBJECTS,
                     **_api(_SUBJECTS), bundle=_SUBJECTS)  # fmt: skip


def _bundles() -> Iterator[Kind]:
    archive = {"verify": NOT_ASKED, **_api(NOT_ASKED)}
    for how in ("a bit flipped", "cut, lengthened or doubled", "packed by another program",
                "a name twice", "two headers that differ", "a member compressed",
                "a comment or an extra field"):  # fmt: skip
        yield _kind("bundle", "zip", how, **archive)
    yield from _each("bundle", "member", "flipped, dropped, doubled, swapped", **archive)
    yield from _each("forged", "proven member", "flipped, dropped, swapped", **archive)
    for what in ("record", "proof", "disclosure", "note or stream object", "spelling"):
        yield _kind("forged", what, "edited, its own hash made to fit", **archive)
    yield from _each("forged", "signed answer", "edited, signed by another key", **archive)
    yield _kind("forged", "signed answer", "left out", **archive, bundle=_LATER)
    yield _kind("forged", "witness's line", "edited", **archive)
    yield _kind("forged", "segment's header", "signed by another key, which is put in", **archive)
    for how in ("signed by another key", "of another history, signed by the log's key"):
        yield _kind("forged", "checkpoint", how, **archive)
    yield _kind("forged", "bundle", "good, and the policy names another log", **archive)
    yield _kind("forged", "bundle", "of another archive under the same name", **archive)
    yield _kind("forged", "unproven member", "edited or dropped", **archive, bundle=_NOT_BUNDLE)
    yield _kind("forged", "encrypted fields", "edited", **archive, bundle=_PII)
    for how in ("edited", "its proof edited", "signed anew, by another key or the archive's",
                "swapped with another", "left out between others"):  # fmt: skip
        yield _kind("forged", "certificate", how, **archive)
    yield _kind("forged", "certificate", "the oldest or newest left out", **archive, bundle=_RANGE)
    yield _kind("forged", "last status", "left out, and the answer", **archive, bundle=_LATER)


KINDS: tuple[Kind, ...] = (*_objects(), *_fields(), *_insiders(), *_bundles())
