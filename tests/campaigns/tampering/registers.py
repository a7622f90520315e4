"""How a register is changed: its chain, by whoever has the store, the segment key or the log's."""

from __future__ import annotations

import random
from dataclasses import replace

from audit_stream.evidence.batch import Leaf, decode_batch
from audit_stream.evidence.register import Entry, Register, RegisterHead, decode_entry
from tests.campaigns.tampering import refit
from tests.campaigns.tampering.archives import Changed, names_of, without
from tests.campaigns.tampering.insiders import STRANGER
from tests.campaigns.tampering.scene import ARCHIVE, Objects, Scene
from tests.support.registers import chained, redaction
from tests.support.resealed import SIGNER

_REGISTER = Register.REDACTIONS


def entries(objects: Objects) -> list[Entry]:
    """Of the register of redactions, in their order."""
    return [decode_entry(objects[name], name) for name in names_of(objects, "register entry")]


def strangers(scene: Scene, chance: random.Random, turn: int) -> Changed:
    """An entry signed anew by another key, under its id or that of the key before."""
    entry = chance.choice(entries(scene.objects))
    kid = STRANGER.kid if turn % 2 else entry.kid
    data = replace(entry, kid=kid).encode(STRANGER)
    return Changed(scene.objects | {entry.name: data}, scene.subjects)


def renumbered(scene: Scene, chance: random.Random, _: int) -> Changed:
    """An entry under another number, which it says, signed to fit; the old one is gone."""
    entry = chance.choice(entries(scene.objects))
    moved = replace(entry, number=len(entries(scene.objects)) + chance.randrange(9))
    left = without(scene.objects, {entry.name})
    return Changed(left | {moved.name: moved.encode(SIGNER)}, scene.subjects)


def reordered(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Two entries, each in the other's place; all signed to fit."""
    found = entries(scene.objects)
    one, two = chance.sample(range(len(found)), 2)
    said = [each.said for each in found]
    said[one], said[two] = said[two], said[one]
    again = chained(_REGISTER, *said, archive=ARCHIVE, signer=SIGNER)
    return Changed(
        scene.objects | {each.name: each.encode(SIGNER) for each in again}, scene.subjects
    )


def cut(scene: Scene, _: random.Random, __: int) -> Changed:
    """The last entry."""
    return Changed(without(scene.objects, {entries(scene.objects)[-1].name}), scene.subjects)


def foreign(scene: Scene, chance: random.Random, _: int) -> Changed:
    """An entry of another archive, which the same key signed: behind the last, or in its place."""
    last = entries(scene.objects)[-1]
    other = replace(last, archive="audit.example/other", number=last.number + chance.randrange(2))
    return Changed(scene.objects | {other.name: other.encode(SIGNER)}, scene.subjects)


def junk(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Something that nobody trusted signed, under a number that is free: the next, or any."""
    head = entries(scene.objects)[-1].head
    number = chance.choice([head.next, chance.randrange(head.next, 2**53)])
    (made,) = chained(_REGISTER, redaction(9).said(), begin=RegisterHead(number, head.leaf),
                      archive=ARCHIVE, signer=STRANGER)  # fmt: skip
    data = chance.choice([chance.randbytes(99), made.encode(STRANGER)])
    return Changed(scene.objects | {made.name: data}, scene.subjects)


def logged_twice(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The log anew by its own key, an entry's leaf a second time in it."""
    batches = _batches(scene.objects)
    leaf = chance.choice(_entry_leaves(batches))
    chosen = chance.choice(batches)
    chosen.insert(chance.randrange(len(chosen)), leaf)
    return Changed(refit.logged(scene.objects, batches), scene.subjects)


def logged_never(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The log anew by its own key, without an entry's leaf."""
    batches = _batches(scene.objects)
    gone = chance.choice(_entry_leaves(batches))
    left = [[leaf for leaf in leaves if leaf != gone] for leaves in batches]
    return Changed(refit.logged(scene.objects, left), scene.subjects)


def _batches(objects: Objects) -> list[list[Leaf]]:
    return [list(decode_batch(objects[name], name).leaves) for name in names_of(objects, "batch")]


def _entry_leaves(batches: list[list[Leaf]]) -> list[Leaf]:
    folder = _REGISTER.folder
    return [leaf for leaves in batches for leaf in leaves if (leaf.name or "").startswith(folder)]
