"""How an archive is changed, object by object and field by field."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from audit_stream.evidence.canonical import parse_line
from audit_stream.evidence.ending import End, decode_link
from audit_stream.evidence.log_names import access_name, anchor_name, batch_name, tile_name
from audit_stream.evidence.register import Register
from tests.campaigns.tampering import fields
from tests.campaigns.tampering.scene import Objects, Scene
from tests.support import access


@dataclass(frozen=True)
class Changed:
    """What became of archive and subject objects; `source`: a record that was changed."""

    objects: Objects
    subjects: Objects
    source: str | None = None


Mutate = Callable[[Scene, random.Random, int], Changed]


def names_of(objects: Objects, kind: str) -> list[str]:
    """The names of one kind of object, as the table calls it."""
    prefix, want = _FOLDERS[kind]
    found = sorted(name for name in objects if name.startswith(prefix))
    return [name for name in found if want is None or want(objects[name], name)]


def _is_end(data: bytes, name: str) -> bool:
    return isinstance(decode_link(data, name), End)


_FOLDERS: dict[str, tuple[str, Callable[[bytes, str], bool] | None]] = {
    "segment": ("segments/", lambda data, name: not _is_end(data, name)),
    "end": ("segments/", _is_end),
    "stream object": ("streams/", None),
    "status map": ("maps/", None),
    "batch": ("log/", None),
    "tile": ("tile/", None),
    "witness's note": ("anchor/", lambda _, name: name.endswith(".note")),
    "timestamp": ("anchor/", lambda _, name: name.endswith(".tsr")),
    "journal part": ("access/", None),
    "register entry": (Register.REDACTIONS.folder, None),
}


# -- objects, whatever is in them


def flipped(kind: str) -> Mutate:
    """One bit of one object."""

    def mutate(scene: Scene, chance: random.Random, _: int) -> Changed:
        name = chance.choice(names_of(scene.objects, kind))
        data = bytearray(scene.objects[name])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return Changed(scene.objects | {name: bytes(data)}, scene.subjects)

    return mutate


def dropped(kind: str) -> Mutate:
    """One object."""

    def mutate(scene: Scene, chance: random.Random, _: int) -> Changed:
        gone = chance.choice(names_of(scene.objects, kind))
        return Changed(without(scene.objects, {gone}), scene.subjects)

    return mutate


def cut(kind: str) -> Mutate:
    """The end of one object."""

    def mutate(scene: Scene, chance: random.Random, _: int) -> Changed:
        name = chance.choice(names_of(scene.objects, kind))
        data = scene.objects[name]
        return Changed(
            scene.objects | {name: data[: chance.randrange(1, len(data))]}, scene.subjects
        )

    return mutate


def swapped(kind: str) -> Mutate:
    """Two objects of one kind, each under the other's name."""

    def mutate(scene: Scene, chance: random.Random, _: int) -> Changed:
        one, two = chance.sample(names_of(scene.objects, kind), 2)
        objects = scene.objects
        return Changed(objects | {one: objects[two], two: objects[one]}, scene.subjects)

    return mutate


def doubled(kind: str) -> Mutate:
    """One object once more, under a name that was free."""

    def mutate(scene: Scene, chance: random.Random, _: int) -> Changed:
        name = chance.choice(names_of(scene.objects, kind))
        data = scene.objects[name]
        return Changed(scene.objects | {_free(kind, name, chance): data}, scene.subjects)

    return mutate


def _free(kind: str, name: str, chance: random.Random) -> str:
    number, folder = chance.randrange(10**6, 10**9), name.rpartition("/")[0]
    return {
        "segment": f"{folder}/{number:020d}.ndjson.gz", "end": f"{folder}/{number:020d}.ndjson.gz",
        "stream object": f"{folder}/{number % 1000 + 3:05d}.json", "batch": batch_name(number),
        "tile": tile_name(0, number % 900 + 1), "status map": f"maps/{number:064x}.json",
        "witness's note": anchor_name(number, "auditor.note"),
        "timestamp": anchor_name(number, "authority.tsr"),
        "journal part": access_name(access.JOURNAL, number),
        "register entry": Register.REDACTIONS.entry_name(number),
    }[kind]  # fmt: skip


def without(objects: Objects, gone: set[str]) -> Objects:
    """The objects but these."""
    return {name: data for name, data in objects.items() if name not in gone}


# -- fields


def field(what: str, way: str) -> Mutate:
    """One bit of one field of a format. Turn by turn, so that every field has its turn."""

    def mutate(scene: Scene, chance: random.Random, turn: int) -> Changed:
        spots: dict[object, list[tuple[fields.Line, tuple[fields.Step, ...]]]] = defaultdict(list)
        for line in fields.lines(scene.objects):
            if line.format == what and way in line.ways:
                for place in fields.places(parse_line(line.value, "it")):
                    spots[fields.name_of(place)].append((line, place))
        for more in range(len(spots)):
            there = spots[sorted(spots, key=str)[(turn + more) % len(spots)]]
            line, place = chance.choice(there)
            objects = line.ways[way](fields.changed(line.value, place, chance))
            if objects != scene.objects:  # else what was made to fit undid it
                return Changed(objects, scene.subjects, line.source)
        raise AssertionError(f"no field of {what} can be changed")

    return mutate


# -- subject objects


def subject_flipped(scene: Scene, chance: random.Random, _: int) -> Changed:
    """One bit of what links records to a person."""
    name = chance.choice(sorted(scene.subjects))
    data = bytearray(scene.subjects[name])
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return Changed(scene.objects, scene.subjects | {name: bytes(data)})


def subject_dropped(scene: Scene, chance: random.Random, _: int) -> Changed:
    """One of them."""
    gone = chance.choice(sorted(scene.subjects))
    return Changed(scene.objects, without(scene.subjects, {gone}))


def subjects_swapped(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Two of them."""
    one, two = chance.sample(sorted(scene.subjects), 2)
    subjects = scene.subjects
    return Changed(scene.objects, subjects | {one: subjects[two], two: subjects[one]})


def formats(scene: Scene) -> Counter[tuple[str, str]]:
    """How many fields each format has, by the way of changing them."""
    found: Counter[tuple[str, str]] = Counter()
    for line in fields.lines(scene.objects):
        count = len(set(map(fields.name_of, fields.places(parse_line(line.value, "it")))))
        for way in line.ways:
            found[line.format, way] = max(count, found[line.format, way])
    return found
