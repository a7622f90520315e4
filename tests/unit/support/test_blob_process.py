"""The double as a process: what a campaign of faults needs of it."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from contextlib import suppress

import pytest

from audit_stream.errors import StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from tests.support.blobs.process import BlobProcess


@pytest.fixture(scope="module")
def process() -> Iterator[BlobProcess]:
    with BlobProcess() as process:
        process.tell("containers", name="audit", kind="clw", days=2557)
        process.tell("identities", sas="worker-0", rights="rlac")
        yield process


def store(process: BlobProcess, account: str = "devaccount") -> AzureStore:
    access = AzureAccess(endpoint=process.endpoint, sas=lambda: "sig=worker-0", read_seconds=5)
    return AzureStore(AzureTarget(account=account, container="audit", access=access))


async def policy(opened: AzureStore) -> str:
    found = (await opened.posture()).findings
    return next(each.value for each in found if each.fact == "retention policy")


async def test_requests_are_counted_by_client_and_second(process: BlobProcess) -> None:
    process.clear("requests")
    opened = store(process)
    assert await opened.put_if_absent("a/1", b"one", {}) is PutResult.STORED
    assert await opened.put_if_absent("a/1", b"two", {}) is PutResult.EXISTS
    await opened.close()
    found = process.ask("counters")
    assert sum(found["seconds"]["worker-0"].values()) == found["total"]
    assert found["kinds"]["PUT 201 -"] == found["kinds"]["PUT 403 -"] == 1
    assert process.ask("requests?after=1")[0]["path"] == process.ask("requests")[1]["path"]


async def test_a_fault_hits_its_share_from_the_seed_and_no_more(process: BlobProcess) -> None:
    hits = []
    for _ in range(2):
        process.clear("requests")
        process.tell("faults", kind="busy", share=0.3, seed=5)
        opened = store(process)
        for number in range(60):
            with suppress(StoreTransient):
                await opened.put_if_absent(f"share/{number}", b"same", {})
        await opened.close()
        process.clear("faults")
        hits.append([line["fault"] for line in process.ask("requests") if line["method"] == "PUT"])
    assert hits[0] == hits[1]
    assert 8 <= hits[0].count("busy") <= 28


async def test_what_holds_a_request_up_may_end_by_itself(process: BlobProcess) -> None:
    fault = process.tell("faults", kind="stall_after", hold_seconds=0.2)
    opened = store(process)
    assert await opened.put_if_absent("held", b"one", {}) is PutResult.STORED
    await opened.close()
    assert process.ask(f"faults/{fault['id']}") == {"hit": True, "landed": False}


async def test_accounts_clock_and_policies_are_told_from_outside(process: BlobProcess) -> None:
    process.tell("accounts", name="another")
    process.tell("containers", name="audit", kind="clw", days=1, account="another")
    before = process.ask("clock")["now"]
    assert process.tell("clock", advance=86_400)["now"] == before + 86_400
    opened = store(process, "another")
    assert await opened.names("") == []
    assert await policy(opened) == "there is one (data plane)"
    process.tell("policies", container="audit", act="remove", account="another")
    assert await policy(opened) == "none"
    await opened.close()


def test_what_it_does_not_understand_is_refused(process: BlobProcess) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        process.tell("faults", knid="busy")
