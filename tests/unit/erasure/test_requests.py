"""Requests to erase: filed once, approved by a second person, without an identity in any store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.filing import a_month_later
from audit_stream.erasure.request import Found, Request, State
from audit_stream.erasure.requests import Requests
from audit_stream.errors import FormatError, RequestError
from audit_stream.stores.subjects import FileSubjectStore

KEY = b"\x40" * 32
TAG, OTHER = b"\x01" * 16, b"\x02" * 16
AT = "2026-11-26T08:00:00.000Z"
REQUEST = Request(
    ref="DSR-2026-0001", kind="customer", basis="GDPR Art.17(1)(b)", tags=(TAG,),
    found=Found(records=3, tenants=("t1",), first=AT, last=AT), requested_by="privacy",
    requested_at=AT, due="2026-12-26",
)  # fmt: skip


@pytest.fixture
def requests(tmp_path: Path) -> Requests:
    return Requests(PrivateObjects(FileSubjectStore(tmp_path), KEY))


async def test_a_repeated_filing_finds_what_became_of_the_first(requests: Requests) -> None:
    await requests.file(REQUEST)
    await requests.approve(REQUEST.ref, "counsel", AT)
    assert (await requests.file(REQUEST)).state is State.APPROVED
    done = await requests.change(REQUEST.ref, lambda r: replace(r, state=State.DONE, tags=()))
    assert await requests.file(REQUEST) == done  # its tags are gone, and it is still the same


async def test_a_reference_is_of_one_request(requests: Requests) -> None:
    await requests.file(REQUEST)
    with pytest.raises(RequestError, match="another request"):
        await requests.file(replace(REQUEST, tags=(OTHER,)))
    with pytest.raises(RequestError, match="another request"):
        await requests.file(replace(REQUEST, basis="CCPA 1798.105"))


async def test_a_second_person_approves(requests: Requests) -> None:
    await requests.file(REQUEST)
    for first in ("privacy", "Privacy"):
        with pytest.raises(RequestError, match="second person"):
            await requests.approve(REQUEST.ref, first, AT)
    approved = await requests.approve(REQUEST.ref, "counsel", AT)
    assert approved.state is State.APPROVED
    assert await requests.approve(REQUEST.ref, "another", AT) == approved
    assert await requests.to_carry_out() == [approved]


async def test_what_is_at_work_is_not_withdrawn(requests: Requests) -> None:
    await requests.file(REQUEST)
    await requests.change(REQUEST.ref, lambda r: replace(r, state=State.EXECUTING))
    with pytest.raises(RequestError, match="cannot be undone"):
        await requests.withdraw(REQUEST.ref)


async def test_what_was_withdrawn_has_no_tags_and_is_not_approved(requests: Requests) -> None:
    await requests.file(REQUEST)
    assert (await requests.withdraw(REQUEST.ref)).tags == ()
    with pytest.raises(RequestError, match="withdrawn"):
        await requests.approve(REQUEST.ref, "counsel", AT)


async def test_changes_at_once_are_all_made(requests: Requests) -> None:
    await requests.file(REQUEST)

    def add(hold: str) -> object:
        return requests.change(REQUEST.ref, lambda r: replace(r, held_by=(*r.held_by, hold)))

    await asyncio.gather(*(add(f"h{n}") for n in range(8)))  # type: ignore[arg-type]
    found = await requests.get(REQUEST.ref)
    assert found is not None
    assert sorted(found.held_by) == [f"h{n}" for n in range(8)]


def test_the_stored_bytes_tell_nothing(requests: Requests, tmp_path: Path) -> None:
    asyncio.run(requests.file(REQUEST))
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    data = file.read_bytes() + str(file).encode()
    assert TAG not in data
    assert TAG.hex().encode() not in data
    assert REQUEST.ref.encode() not in data


@pytest.mark.parametrize("ref", ["", "a b", "x" * 65, "jane@example.com"])
async def test_a_reference_is_plain(requests: Requests, ref: str) -> None:
    with pytest.raises(FormatError):
        await requests.file(replace(REQUEST, ref=ref))


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-26T08:00:00.000Z", "2026-12-26"), ("2026-12-15T23:59:59.999Z", "2027-01-15"),
        ("2027-01-31T00:00:00.000Z", "2027-02-28"), ("2028-01-30T00:00:00.000Z", "2028-02-29"),
        ("2026-10-31T00:00:00.000Z", "2026-11-30"),
    ],
)  # fmt: skip
def test_a_request_is_due_a_month_later(at: str, due: str) -> None:
    assert a_month_later(at) == due
