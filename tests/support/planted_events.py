"""Events of planted persons: good ones, and all the ways to put a person in a wrong place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.support.planted import Person

#: Whose events are archived, by the number in message `planted-NN`; all others are refused.
ARCHIVED = tuple(map(Person, range(1, 7)))
STRANGER = Person(90)  # of whom nothing was ever sent
FIELDS = (
    "id", "message_id", "type", "status", "timestamp", "error_code", "workflow_id", "agent_id",
    "carrier_message_id",
)  # fmt: skip
ORIGIN = "audit-origin"


def event(person: Person, message: str, **changed: object) -> dict[str, object]:
    """A valid event of a person."""
    made: dict[str, object] = {
        "id": f"evt-{message}", "type": "outbound", "message_id": message, "status": "DELIVERED",
        "timestamp": "2026-11-25T10:00:00Z", "error_code": None, "workflow_id": "wf_planted",
        "agent_id": None, "tenant": {"id": "tenant_a"}, "carrier_message_id": f"carrier-{message}",
        "recipient": {"external_id": person.customer, "address": person.address},
    }  # fmt: skip
    return made | changed


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def escaped(text: str) -> str:
    """As it stands in a URL."""
    return quote(text, safe="")


def planted_lines() -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    """Key, value and headers of all the ways a platform can put a person in a wrong place; and
    good events of `ARCHIVED`."""
    good = [
        _keyed(event(person, f"planted-{person.number:02d}", status=status))
        for status in ("QUEUED", "DELIVERED", "DELIVERED", "READ", "DELIVERED")
        for person in ARCHIVED
    ]
    bad: list[Any] = []
    for number, name in enumerate(FIELDS, start=10):
        for text in Person(number).identities:
            bad.append(_keyed(event(Person(number), f"bad-{number}") | {name: text}))
            inside = f"550 no such user <{text}>"
            bad.append(_keyed(event(Person(number), f"bad-{number}") | {name: inside}))
    return [*good, *bad, *_odd_lines()]


def _keyed(value: dict[str, Any]) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    return str(value["message_id"]).encode(), encoded(value), []


def _odd_lines() -> Iterator[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    who = Person(30)
    name, address = (text.encode() for text in who.identities)
    whole = encoded(event(who, "odd-1"))
    yield address, whole, []  # under another key
    yield b"odd-1", whole[:-9], []  # cut off
    yield b"odd-1", whole.replace(b"DELIVERED", b"\\ud800" + name), []  # lone surrogates
    yield b"odd-2", encoded(event(who, "odd-2")).replace(b"evt-odd-2", b"\\ud800"), []
    yield b"odd-3", b"\xff\xfe" + address, []
    yield b"odd-4", address, []
    yield b"odd-5", b'"%b"' % name, []
    yield b"odd-6", b"[" * 2000 + name, []
    yield address, None, [("to", address)]
    yield None, None, [("to", address)]
    yield b"odd-7", encoded(event(who, "odd-7", tenant={"id": who.customer})), []
    yield b"odd-8", encoded(event(who, "odd-8", agent_id=who.address * 20)), []
    yield b"odd-9", encoded(event(who, "odd-9", recipient={"address": who.address * 20})), []
    yield b"odd-10", encoded(event(who, "odd-10", recipient=who.address)), []
    yield b"odd-11", encoded(event(who, "odd-11", error_code={"to": who.address})), []
    yield b"odd-12", encoded(event(who, "odd-12")), [(ORIGIN, address), (who.address, name)]
    yield b"odd-13", encoded(event(who, "odd-13", status=who.address)), []
    yield who.address.encode(), encoded(event(who, who.address, status="SENT")), []
    # Members that are not ours are dropped, wherever they stand.
    yield b"planted-01", encoded(event(ARCHIVED[0], "planted-01", status="FAILED", note=[
        who.customer, {who.address: who.address}])), [("trace", address)]  # fmt: skip


def import_lines() -> bytes:
    """A file as `import` reads it: lines of persons, good, broken and without an id."""
    who = Person(40)
    lines = [
        encoded(event(who, "imported-1")), b'{"message_id": "' + who.address.encode(),
        json.dumps({"to": who.address}).encode(), who.customer.encode(),
        encoded(event(who, "imported-2", type=who.address)),
    ]  # fmt: skip
    return b"\n".join(lines) + b"\n"
