"""The write-once double protects versions as version-level WORM does: rules 10 to 20 (16, the
container's, is in `test_blob_double`)."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError

from tests.support.blobs import DAY, BlobDouble
from tests.support.blobs.sdk import HELD, RETAINED, Clients, create_only, policy, refusal

YEARS = 2557 * DAY


async def test_rule_10_an_overwrite_makes_a_version(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("vlw")
    first = await client.upload_blob(b"one")
    double.service.clock.advance(DAY)
    second = await client.upload_blob(b"two", overwrite=True)
    now = await client.get_blob_properties()
    old = await client.get_blob_properties(version_id=first["version_id"])
    assert now.version_id == second["version_id"] != first["version_id"]
    assert now.is_current_version
    assert (now.immutability_policy.policy_mode, old.immutability_policy.policy_mode) == (
        "locked", "locked",
    )  # fmt: skip
    between = now.immutability_policy.expiry_time - old.immutability_policy.expiry_time
    assert between.total_seconds() == DAY
    stored = await client.download_blob(version_id=first["version_id"])
    assert await stored.readall() == b"one"


async def test_rule_11_a_protected_version_stays(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("vlw")
    await client.upload_blob(b"one")
    assert await refusal(client.delete_blob()) == RETAINED
    assert await refusal(client.set_blob_metadata({"k": "v"})) == RETAINED
    await client.set_legal_hold(True)
    assert await refusal(client.delete_blob()) == HELD
    assert await refusal(client.set_blob_metadata({"k": "v"})) == HELD
    await client.set_legal_hold(False)
    double.service.clock.advance(YEARS)
    assert await refusal(client.set_blob_metadata({"k": "v"})) == RETAINED
    await client.delete_blob()


async def test_rule_12_the_current_version_is_not_deleted_by_its_id(clients: Clients) -> None:
    client = await clients.blob("vlw")
    first = await client.upload_blob(b"one")
    root = client.delete_blob(version_id=first["version_id"])
    assert await refusal(root) == (403, "OperationNotAllowedOnRootBlob")
    await client.upload_blob(b"two", overwrite=True)
    assert await refusal(client.delete_blob(version_id=first["version_id"])) == RETAINED


async def test_rule_13_a_deleted_blob_becomes_a_version(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("vlw")
    first = await client.upload_blob(b"one")
    double.service.clock.advance(YEARS)
    await client.delete_blob()
    with pytest.raises(ResourceNotFoundError):
        await client.get_blob_properties()
    await create_only(client, b"two")
    assert (await client.get_blob_properties(version_id=first["version_id"])).size == 3
    await client.delete_blob(version_id=first["version_id"])


async def test_rule_14_a_locked_policy_only_grows(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("vlw")
    await client.upload_blob(b"one")
    end = double.service.clock.now + YEARS
    assert await refusal(client.set_immutability_policy(policy(end - 1))) == RETAINED
    assert await refusal(client.set_immutability_policy(policy(end, "unlocked"))) == RETAINED
    for more in range(1, 8):
        await client.set_immutability_policy(policy(end + more))
    found = (await client.get_blob_properties()).immutability_policy
    assert found.expiry_time == datetime.fromtimestamp(end + 7, UTC)


async def test_rule_15_a_locked_policy_is_not_deleted(clients: Clients) -> None:
    client = await clients.blob("vlw")
    await client.upload_blob(b"one")
    locked = (409, "ImmutabilityPolicyDeleteOnLockedPolicy")
    assert await refusal(client.delete_immutability_policy()) == locked


async def test_rule_17_a_policy_ends_in_the_future(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("vlw")
    invalid, past = (400, "InvalidHeaderValue"), policy(double.service.clock.now)
    assert await refusal(client.upload_blob(b"one", immutability_policy=past)) == invalid
    await client.upload_blob(b"one")
    assert await refusal(client.set_immutability_policy(past)) == invalid


async def test_rule_18_a_policy_of_its_own_replaces_the_locked_default(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("vlw")
    double.service.access.register_sas("s", "rwi")
    until = {"x-ms-immutability-policy-until-date": "Fri, 01 Jan 2100 00:00:00 GMT"}
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{double.url}/vlw/a/1?sig=s", data=b"one", headers=until) as answer,
    ):
        assert answer.status == 201
    assert (await client.get_blob_properties()).immutability_policy.policy_mode == "unlocked"
    await client.delete_immutability_policy()
    await client.set_immutability_policy(policy(double.service.clock.now + DAY))
    assert (await client.get_blob_properties()).immutability_policy.policy_mode == "locked"
    assert await refusal(client.delete_blob()) == RETAINED


async def test_rule_19_policies_are_the_owners(double: BlobDouble, clients: Clients) -> None:
    mismatch = (403, "AuthorizationPermissionMismatch")
    until = policy(double.service.clock.now + DAY)
    for service in (await clients.role("contributor"), await clients.sas("rcwd")):
        client = service.get_blob_client("vlw", f"{id(service)}")
        assert await refusal(client.upload_blob(b"one", immutability_policy=until)) == mismatch
        await client.upload_blob(b"one")
        assert await refusal(client.set_immutability_policy(until)) == mismatch
        assert await refusal(client.set_legal_hold(True)) == mismatch
    allowed = (await clients.sas("rcwi")).get_blob_client("vlw", "allowed")
    await allowed.upload_blob(b"one", immutability_policy=until, legal_hold=True)
    assert (await allowed.get_blob_properties()).has_legal_hold


async def test_rule_20_hold_and_retention_are_independent(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("vlw")
    await client.upload_blob(b"one", legal_hold=True)
    await client.set_immutability_policy(policy(double.service.clock.now + YEARS + DAY))
    double.service.clock.advance(YEARS + DAY)
    assert await refusal(client.delete_blob()) == HELD
    await client.set_legal_hold(False)
    await client.delete_blob()
