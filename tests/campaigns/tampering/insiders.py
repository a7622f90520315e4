"""What insiders do to an archive: records, chains and whole histories, signed with its own keys."""

from __future__ import annotations

import random

from audit_stream.evidence import ledger
from audit_stream.evidence.batch import Leaf, decode_batch
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.digest import decode_digest
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.segment import Segment, decode
from audit_stream.evidence.signing import LineSigner
from tests.campaigns.tampering import refit
from tests.campaigns.tampering.archives import Changed, names_of, without
from tests.campaigns.tampering.scene import LOG, Objects, Scene
from tests.support.resealed import rehashed, resigned

STRANGER, STRANGERS_LOG = LineSigner(b"\x77" * 32), NoteSigner(LOG.key.name, b"\x78" * 32)
_STATUSES = ("DELIVERED", "READ", "FAILED", "EXPIRED")


def strangers_segment(scene: Scene, chance: random.Random, _: int) -> Changed:
    """A segment signed anew by another key."""
    name = chance.choice(names_of(scene.objects, "segment"))
    data = resigned(scene.objects[name], signer=STRANGER, kid=STRANGER.kid)
    return Changed(scene.objects | {name: data}, scene.subjects)


def strangers_chain(scene: Scene, chance: random.Random, _: int) -> Changed:
    """A segment and all behind it in the chain signed anew by another key."""
    name = chance.choice(names_of(scene.objects, "segment"))
    data = resigned(scene.objects[name], signer=STRANGER, kid=STRANGER.kid)
    objects = scene.objects | {name: data}
    line = decode(data, name).header_line
    return Changed(refit.following(objects, name, line, STRANGER), scene.subjects)


def another_status(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Another status in one record; hash, header and the chain behind it signed to fit."""
    name, segment, index = _record(scene, chance)
    lines = segment.record_lines()
    said = parse_line(lines[index], "it")
    old = said["pub"]["delivery_status"]
    said["pub"]["delivery_status"] = chance.choice([each for each in _STATUSES if each != old])
    lines[index] = rehashed(canonical(said))
    objects = refit.records(scene.objects, name, lines)
    return Changed(objects, scene.subjects, said["pub"]["source"])


def record_removed(scene: Scene, chance: random.Random, _: int) -> Changed:
    """One record, its offset called intermediate; all signed to fit."""
    name, segment, index = _record(scene, chance)
    lines = segment.record_lines()
    source = parse_line(lines.pop(index), "it")["pub"]["source"]
    letters = _letters(segment)
    letters[_archived(letters)[index]] = "i"
    text = ledger.encode(ledger.runs_of(letters))
    return Changed(refit.records(scene.objects, name, lines, ledger=text), scene.subjects, source)


def records_reordered(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Two records of a segment; all signed to fit."""
    name = chance.choice(
        [
            n
            for n in names_of(scene.objects, "segment")
            if decode(scene.objects[n], n).header.count > 1
        ]
    )
    lines = decode(scene.objects[name], name).record_lines()
    one, two = chance.sample(range(len(lines)), 2)
    lines[one], lines[two] = lines[two], lines[one]
    source = parse_line(lines[one], "it")["pub"]["source"]
    return Changed(refit.records(scene.objects, name, lines), scene.subjects, source)


def record_added(scene: Scene, chance: random.Random, _: int) -> Changed:
    """A copy of a record under an offset that was not archived; all signed to fit."""
    name, segment, index = _record(scene, chance, free=True)
    lines, letters = segment.record_lines(), _letters(segment)
    at = chance.choice([at for at, letter in enumerate(letters) if letter != ledger.ARCHIVED])
    said = parse_line(lines[index], "it")
    source = f"{said['pub']['source'].rpartition('/')[0]}/{segment.header.base + at}"
    said["pub"] |= {"source": source, "revision": said["pub"]["revision"] + 1}
    place = sum(letter == ledger.ARCHIVED for letter in letters[:at])
    lines.insert(place, rehashed(canonical(said)))
    letters[at] = ledger.ARCHIVED
    text = ledger.encode(ledger.runs_of(letters))
    about = parse_line(segment.record_lines()[index], "it")["pub"]["source"]
    return Changed(refit.records(scene.objects, name, lines, ledger=text), scene.subjects, about)


def ledger_edited(scene: Scene, chance: random.Random, _: int) -> Changed:
    """Another disposition of an offset that has no record; all signed to fit."""
    name, segment, _index = _record(scene, chance, free=True)
    letters = _letters(segment)
    at = chance.choice([at for at, letter in enumerate(letters) if letter != ledger.ARCHIVED])
    letters[at] = chance.choice([x for x in "idrqx" if x != letters[at]])
    text = ledger.encode(ledger.runs_of(letters))
    objects = refit.records(scene.objects, name, segment.record_lines(), ledger=text)
    return Changed(objects, scene.subjects)


def _record(scene: Scene, chance: random.Random, *, free: bool = False) -> tuple[str, Segment, int]:
    """A record; `free`: in a segment with an offset that has none."""
    found = [(name, decode(scene.objects[name], name)) for name in
             names_of(scene.objects, "segment")]  # fmt: skip
    name, segment = chance.choice([
        (name, each) for name, each in found
        if not free or each.header.count < each.header.next - each.header.base
    ])  # fmt: skip
    return name, segment, chance.randrange(segment.header.count)


def _letters(segment: Segment) -> list[str]:
    header = segment.header
    runs = ledger.decode(header.ledger, header.next - header.base)
    return [letter for count, letter in runs for _ in range(count)]


def _archived(letters: list[str]) -> list[int]:
    return [at for at, letter in enumerate(letters) if letter == ledger.ARCHIVED]


# -- ends and whole histories


def chain_cut(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The last segment of a chain."""
    return Changed(without(scene.objects, {_last_segment(scene, chance)}), scene.subjects)


def log_cut(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The last batch, or some of the last."""
    names = names_of(scene.objects, "batch")
    gone = set(names[-chance.randrange(1, len(names)) :])
    return Changed(without(scene.objects, gone), scene.subjects)


def both_cut(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The last segment of a chain, and all batches from the one that has it on."""
    gone = _last_segment(scene, chance)
    names = names_of(scene.objects, "batch")
    first = next(n for n in names if any(
        leaf.name == gone for leaf in decode_batch(scene.objects[n], n).leaves))  # fmt: skip
    left = without(scene.objects, {gone, *(n for n in names if n >= first)})
    return Changed(without(left, set(names_of(left, "witness's note"))), scene.subjects)


def begun_anew(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The last segment of a chain; and the log without it, signed by its own key."""
    gone = _last_segment(scene, chance)
    left = without(scene.objects, {gone})
    return Changed(_logged_without(left, {gone}), scene.subjects)


def _logged_without(objects: Objects, gone: set[str], signer: NoteSigner = LOG) -> Objects:
    """The log without these leaves; its digests cover what is left."""
    batches = []
    for name in names_of(objects, "batch"):
        leaves = [each for each in decode_batch(objects[name], name).leaves
                  if each.name not in gone]  # fmt: skip
        digest = parse_line(leaves[-1].line, "it")
        for each in digest["coverage"]:
            for other in gone:
                place = parse_segment_name(other)
                assert place is not None
                if (each["topic"], each["generation"]) == (place.topic, place.generation):
                    each["archived_next"] = place.base
        batches.append([*leaves[:-1], Leaf(canonical(digest))])
    return refit.logged(objects, batches, signer)


def _last_segment(scene: Scene, chance: random.Random) -> str:
    """The last of a chain that nothing ended."""
    ends = {name.rpartition("/")[0] for name in names_of(scene.objects, "end")}
    last = {name.rpartition("/")[0]: name for name in names_of(scene.objects, "segment")}
    return chance.choice([name for folder, name in last.items() if folder not in ends])


def log_rewritten(scene: Scene, chance: random.Random, _: int) -> Changed:
    """The log anew by its own key: a leaf left out, or another time in a digest."""
    names = names_of(scene.objects, "batch")
    batches = [list(decode_batch(scene.objects[name], name).leaves) for name in names]
    chosen = chance.choice(batches)
    if len(chosen) > 1 and chance.random() < 0.5:
        del chosen[chance.randrange(len(chosen) - 1)]
    else:
        text = decode_digest(chosen[-1].line, "it").line()
        chosen[-1] = Leaf(text.replace(b"2026-11-25", b"2026-11-24"))
    return Changed(refit.logged(scene.objects, batches), scene.subjects)


def history_replaced(scene: Scene, chance: random.Random, turn: int) -> Changed:
    """Another status, and all that follows from it, the log included: by who has every key."""
    changed = another_status(scene, chance, turn)
    return Changed(refit.relogged(changed.objects), scene.subjects, changed.source)


def strangers_log(scene: Scene, _: random.Random, __: int) -> Changed:
    """The same batches, signed by another key under the same name."""
    return Changed(refit.log(scene.objects, STRANGERS_LOG), scene.subjects)
