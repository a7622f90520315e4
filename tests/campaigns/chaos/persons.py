"""P7: who was erased is closed for good, and nobody else is. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from audit_stream.archive.opening import Closed, Opener
from audit_stream.errors import FormatError
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import Header, decode
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subject_object import open_tags
from audit_stream.privacy.subjects import tags_of
from tests.campaigns.chaos.archived import Objects, Segment
from tests.campaigns.chaos.evidence import Evidence
from tests.campaigns.chaos.traffic import PERSONS, TENANTS, Made, nameless


class Tags:
    """The tag of a person in a tenant."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._known: dict[tuple[str, int], bytes] = {}

    def of(self, tenant: str, person: int) -> bytes:
        """By the customer's id, or by the address where the platform knows none."""
        if (tenant, person) not in self._known:
            who = PERSONS[person - 1]
            named = ("address", who.address) if nameless(who) else ("external", who.customer)
            self._known[tenant, person] = tags_of(self._keyring, (tenant, *named))[0]
        return self._known[tenant, person]


def forgotten(seen: Evidence, records: Sequence[tuple[Segment, int, Made]]) -> Iterator[str]:
    """Every record is opened with what is known of whose it is; certificates and links fit."""
    opener, tag = Opener(seen.ring.keyring, lambda _: seen.ring.cover), Tags(seen.ring.keyring)
    before: Counter[int] = Counter()
    decoded: dict[str, tuple[Header, list[bytes]]] = {}
    for segment, index, made in records:
        if segment.name not in decoded:
            whole = decode(seen.objects[segment.name], segment.name)
            decoded[segment.name] = (whole.header, list(whole.record_lines()))
        header, lines = decoded[segment.name]
        try:
            record = parse_record(lines[index], segment.name)
            opened = opener.open(header, record, tag.of(made.tenant, made.person), None)
        except FormatError as error:
            yield f"P5: {error}"
            continue
        if made.person in seen.erased:
            before[made.person] += not record.erased
            if opened.closed is not Closed.ERASED:
                yield f"P7: {record.pub['source']} of an erased one opens ({opened.closed})"
        elif opened.fields.get("recipient_address") != PERSONS[made.person - 1].address:
            yield f"P7: {record.pub['source']} of another does not open ({opened.closed})"
    yield from _certificates(seen.objects, seen.erased, before)
    gone = {tag.of(tenant, number) for number in seen.erased for tenant in TENANTS}
    for name, data in seen.subjects.items():
        if name.startswith("subjects/") and gone & {
            *open_tags(seen.ring.keyring.index_key, name, data)
        }:
            yield f"P7: {name} still links an erased one"


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
