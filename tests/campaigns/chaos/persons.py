"""P6 and P7: planted persons stand nowhere in clear, and who was erased is closed for good."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from audit_stream.archive.opening import Closed, Opener
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.keys.file import LoadedKeyring, load_cover
from audit_stream.privacy.place import At, Where
from audit_stream.privacy.subject_object import open_tags
from audit_stream.privacy.subjects import tags_of
from audit_stream.settings import Settings
from tests.campaigns.chaos.archived import Objects, Segment
from tests.campaigns.chaos.traffic import PERSONS, TENANTS, Made
from tests.support.planting import Scene, Seen, judge
from tests.support.fleet import Fleet


def private(seen: Iterable[Seen]) -> Iterator[str]:
    """P6."""
    return (f"P6: {each}" for each in judge(seen))


async def everything(
    fleet: Fleet, objects: Objects, subjects: Objects, pages: Sequence[bytes]
) -> list[Seen]:
    """All that is left behind: files, databases, topics, objects of a store that has no folder,
    and pages that were shown."""
    found = await Scene(fleet).look_everywhere()
    if fleet.settings.archive.startswith("azure"):
        found += [Seen(At(Where.ARCHIVE, name), name, data) for name, data in objects.items()]
        found += [Seen(At(Where.SUBJECTS, name), name, data) for name, data in subjects.items()]
    found += [Seen(At(Where.SAID, "metrics"), "pages", page) for page in set(pages)]
    return found


def subject_of(made: Made, tenant: str) -> tuple[str, str, str]:
    """As the product says it: the customer's id, else the address."""
    if made.customer is not None:
        return tenant, "external", made.customer
    return tenant, "address", PERSONS[made.person - 1].address


def forgotten(
    settings: Settings, ring: LoadedKeyring, objects: Objects, subjects: Objects,
    records: Sequence[tuple[Segment, int, Made]], erased: Mapping[int, str],
) -> Iterator[str]:  # fmt: skip
    """P7: by opening every record with what is known of whose it is; by certificates; by tags."""

    @lru_cache(maxsize=1024)
    def tag(subject: tuple[str, str, str]) -> bytes:
        return tags_of(ring.keyring, subject)[0]

    opener = Opener(ring.keyring, lambda tree: load_cover(settings.keyring, tree))
    before: Counter[int] = Counter()
    decoded = {}
    for segment, index, made in records:
        if segment.name not in decoded:
            whole = decode(objects[segment.name], segment.name)
            decoded[segment.name] = (whole.header, list(whole.record_lines()))
        header, lines = decoded[segment.name]
        record = parse_record(lines[index], segment.name)
        opened = opener.open(header, record, tag(subject_of(made, made.tenant)), None)
        if made.person in erased:
            before[made.person] += not record.erased
            if opened.closed is not Closed.ERASED:
                yield f"P7: {record.pub['source']} of an erased one opens ({opened.closed})"
        elif opened.fields.get("recipient_address") != PERSONS[made.person - 1].address:
            yield f"P7: {record.pub['source']} of another does not open ({opened.closed})"
    yield from _certificates(objects, erased, before)
    gone = {
        tag(subject_of(Made_of(number), tenant)) for number in erased for tenant in TENANTS
    }
    for name, data in subjects.items():
        if name.startswith("subjects/") and gone & set(open_tags(ring.keyring.index_key, name, data)):
            yield f"P7: {name} still links an erased one"


def Made_of(number: int) -> Made:
    from tests.campaigns.chaos.traffic import Kind

    person = PERSONS[number - 1]
    return Made(Kind.STATUS, person=number, customer=None if number % 5 == 0 else person.customer)


def _certificates(
    objects: Objects, erased: Mapping[int, str], before: Mapping[int, int]
) -> Iterator[str]:  # fmt: skip
    said = [
        json.loads(data.split(b"\n")[0])
        for name, data in objects.items() if name.startswith("redactions/")
    ]  # fmt: skip
    counted = {each["request_ref"]: each["count"] for each in said}
    if sorted(each["request_ref"] for each in said) != sorted(erased.values()):
        yield f"P7: certificates {sorted(counted)} for requests {sorted(erased.values())}"
        return
    for person, ref in erased.items():
        if counted[ref] != before[person]:
            yield f"P7: {ref} is about {counted[ref]} records, not {before[person]}"
