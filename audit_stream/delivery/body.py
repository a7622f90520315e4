"""What is posted of a record: one flat JSON object, and the key it is remembered by.

The object is `pub`, member by member, and `integrity_hash`; where personal fields are sent they
stand beside them. Who takes `integrity_hash` and those away again has the bytes that were hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import quote

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.record import INTEGRITY_PREFIX, Record

#: What may stand in a header as it is: printable ASCII, without the space and the escape itself.
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class KeyForm(Enum):
    """What a receiver remembers a record by."""

    STATUS = "message_uuid:delivery_status"  # READ is not swallowed after DELIVERED
    MESSAGE = "message_uuid"  # for a receiver that updates what it has under the key
    SOURCE = "source"  # of its own for each record, whatever tenants, topics and generations do


def body_of(record: Record, personal: Mapping[str, str]) -> bytes:
    """The JSON to post, in canonical form (RFC 8785). `personal`: the fields to send, by name."""
    integrity = INTEGRITY_PREFIX + record.integrity_hash.hex()
    return canonical({**record.pub, "integrity_hash": integrity, **personal})


def key_of(pub: Mapping[str, Any], form: KeyForm) -> str:
    """The idempotency key: printable ASCII; another character of an id is percent-encoded UTF-8."""
    if form is KeyForm.SOURCE:
        text = pub["source"]
    elif form is KeyForm.MESSAGE:
        text = pub["message_uuid"]
    else:
        text = f"{pub['message_uuid']}:{pub['delivery_status']}"
    return quote(text, safe=_PLAIN)
