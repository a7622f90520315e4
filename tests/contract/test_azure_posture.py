"""What an Azure archive is worth, asked over TLS by a workload identity: the whole real path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from audit_stream.app.places import archive_store, subject_store
from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import WormStore
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.stores.azure_canary import BODY, NAME
from tests.support.blobs.cloud import SUBJECTS_ACCOUNT, Cloud
from tests.support.blobs.management import Grant
from tests.support.blobs.model import Kind
from tests.support.blobs.routes import ACCOUNT

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def kind() -> Kind:
    return "clw"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> Iterator[Cloud]:
    with Cloud(tmp_path, kind) as cloud:
        cloud.become(monkeypatch, "writer")
        yield cloud


@pytest.fixture
async def store(cloud: Cloud) -> AsyncIterator[WormStore]:
    store = archive_store(cloud.settings())
    yield store
    await store.close()


def finding(posture: Posture, fact: str) -> Finding:
    found = [each for each in posture.findings if each.fact == fact]
    assert len(found) == 1, [str(each) for each in posture.findings]
    return found[0]


async def test_locked_long_enough_and_unharmed_is_worm_locked(
    cloud: Cloud, store: WormStore
) -> None:
    posture = await store.posture()
    assert posture.assurance is Assurance.WORM_LOCKED, posture.missing(Assurance.WORM_LOCKED)
    assert finding(posture, "TLS as negotiated").value == "TLSv1.3"
    assert finding(posture, "retention policy").value == "Locked"
    assert finding(posture, "canary").value == (
        "refused: change metadata (AuthorizationPermissionMismatch), "
        "overwrite (UnauthorizedBlobOverwrite), delete (AuthorizationPermissionMismatch)"
    )
    # The writer may see the container and nothing else, and it is not taken for more.
    assert finding(posture, "account").standing is Standing.UNKNOWN
    assert "AuthorizationFailed" in finding(posture, "who may delete").value
    await store.posture()
    assert list(cloud.archive.blobs) == [NAME]  # no new object each time
    assert cloud.changes() == []


def locked_no_more(cloud: Cloud) -> None:
    cloud.archive.locked = False


def too_short(cloud: Cloud) -> None:
    cloud.archive.days = 365


def appendable(cloud: Cloud) -> None:
    cloud.archive.append_all = True


def gone(cloud: Cloud) -> None:
    cloud.archive.days = None


def unreadable(cloud: Cloud) -> None:
    cloud.double.faults.inject("forbidden", method="GET", path="/subscriptions/", times=None)


def absent(cloud: Cloud) -> None:
    cloud.double.faults.inject("missing", method="GET", path="/subscriptions/", times=None)


def strange(cloud: Cloud) -> None:
    cloud.double.faults.inject("proxy_403", method="GET", path="/subscriptions/", times=None)


def away(cloud: Cloud) -> None:
    cloud.double.faults.inject("drop_before", method="GET", path="/subscriptions/", times=None)


@pytest.mark.parametrize(
    ("spoil", "level", "fact", "standing", "value"),
    [
        (locked_no_more, Assurance.WORM_UNLOCKED, "retention policy", Standing.BAD, "Unlocked"),
        (too_short, Assurance.WORM_UNLOCKED, "retention period", Standing.BAD,
         "365 days of 2557 wanted"),
        (appendable, Assurance.WORM_UNLOCKED, "protected append writes", Standing.BAD,
         "on for all blobs"),
        (gone, Assurance.MUTABLE, "retention policy", Standing.BAD, "none"),
        (unreadable, Assurance.WORM_UNLOCKED, "whether it is locked", Standing.UNKNOWN,
         "AuthorizationFailed"),
        (absent, Assurance.WORM_UNLOCKED, "whether it is locked", Standing.UNKNOWN,
         "ResourceNotFound"),
        (strange, Assurance.WORM_UNLOCKED, "whether it is locked", Standing.UNKNOWN, "HTTP 403"),
        (away, Assurance.WORM_UNLOCKED, "whether it is locked", Standing.UNKNOWN, "Disconnected"),
    ],
)  # fmt: skip
async def test_each_thing_that_is_missing_is_named(
    cloud: Cloud, store: WormStore, spoil: Callable[[Cloud], None], level: Assurance, fact: str,
    standing: Standing, value: str,
) -> None:  # fmt: skip
    spoil(cloud)
    posture = await store.posture()
    assert posture.assurance is level
    found = finding(posture, fact)
    assert found.standing is standing
    assert value in found.value
    assert found.advice
    assert posture.missing(Assurance.WORM_LOCKED) == [found]


async def test_a_management_plane_that_stalls_is_given_up(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_stream.stores.azure_arm._SECONDS", 0.3)
    cloud.double.faults.inject("stall", method="GET", path="/subscriptions/", times=None)
    posture = await store.posture()
    assert posture.assurance is Assurance.WORM_UNLOCKED
    assert "no answer within" in finding(posture, "whether it is locked").value


async def test_an_identity_without_management_cannot_show_that_it_is_locked(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "nobody")
    assert (await store.posture()).assurance is Assurance.WORM_UNLOCKED


async def test_what_is_asked_of_the_container_alone_is_never_locked(cloud: Cloud) -> None:
    """The data plane does not tell a locked policy from one that is not."""
    store = archive_store(cloud.settings(azure_subscription=None))
    posture = await store.posture()
    assert posture.assurance is Assurance.WORM_UNLOCKED
    assert "AUDIT_AZURE_SUBSCRIPTION" in finding(posture, "whether it is locked").value
    cloud.archive.remove_policy()
    assert (await store.posture()).assurance is Assurance.MUTABLE
    await store.close()


@pytest.mark.parametrize("who", ["writer", "operator"])
async def test_a_canary_that_can_be_hurt_means_mutable(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """The policy is there by every word of the service, and is not enforced."""
    cloud.become(monkeypatch, who)
    cloud.double.service.mutable = True
    posture = await store.posture()
    assert posture.assurance is Assurance.MUTABLE
    assert finding(posture, "canary").value == (
        "the writer's own identity could change metadata, overwrite, delete"
    )


async def test_an_owner_is_stopped_by_the_policy_alone(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "operator")
    posture = await store.posture()
    assert posture.assurance is Assurance.WORM_LOCKED
    assert finding(posture, "canary").value.count("BlobImmutableDueToPolicy") == 3


async def test_a_canary_whose_retention_is_over_is_no_alarm(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "operator")
    await store.posture()
    cloud.double.service.clock.advance(2558 * 86_400)
    assert finding(await store.posture(), "canary").value.startswith("refused")


async def test_an_answer_that_is_not_the_services_is_no_refusal(
    cloud: Cloud, store: WormStore
) -> None:
    await store.posture()
    cloud.double.faults.inject("proxy_403", method="DELETE")
    with pytest.raises(StoreRefused):
        await store.posture()
    cloud.double.faults.inject("busy", method="DELETE")
    with pytest.raises(StoreTransient):
        await store.posture()
    cloud.double.faults.inject("missing", method="DELETE")
    posture = await store.posture()
    assert "delete (ResourceNotFound)" in finding(posture, "canary").value
    assert posture.assurance is Assurance.WORM_UNLOCKED


async def test_an_auditor_sees_every_fact(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "operator")
    management = cloud.double.management
    facts = management.facts(ACCOUNT)
    facts.sku, facts.soft_delete_days = "Standard_LRS", None
    facts.properties |= {"minimumTlsVersion": "TLS1_0", "allowSharedKeyAccess": True}
    management.page = 1  # the answer has a second page
    management.grants = [
        Grant("alice", "Contributor", [{"actions": ["*"]}], principal_type="User"),
        Grant("bob", "Reader", [{"actions": ["*/read"]}]),
        Grant("carol", "Storage Blob Data Contributor", [
            {"dataActions": ["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*"]}
        ], scope="/blobServices/default/containers/audit"),
    ]  # fmt: skip
    posture = await store.posture()
    by_fact = {each.fact: each for each in posture.findings}
    weak = {each.fact for each in posture.findings if each.standing is Standing.WEAK}
    assert weak == {
        "redundancy", "soft delete of blobs", "minimum TLS", "shared key access",
        "who may delete: User alice", "who may delete: ServicePrincipal carol",
    }  # fmt: skip
    assert "grant roles" in by_fact["who may delete: User alice"].value
    assert "overwrite objects" in by_fact["who may delete: ServicePrincipal carol"].value
    assert posture.assurance is Assurance.WORM_LOCKED  # a locked policy stops them all
    assert [each for each in posture.findings if each.standing is Standing.UNKNOWN] == []


@pytest.mark.parametrize("kind", ["vlw"])
class TestVersionLevel:
    async def test_locked_by_default_is_worm_locked(self, store: WormStore) -> None:
        posture = await store.posture()
        assert posture.assurance is Assurance.WORM_LOCKED, posture.missing(Assurance.WORM_LOCKED)
        assert finding(posture, "policy of a stored version").value == "locked, 2557 days"

    async def test_what_was_stored_before_the_lock_is_not_locked(
        self, cloud: Cloud, store: WormStore
    ) -> None:
        cloud.archive.locked = False
        await store.put_if_absent(NAME, BODY, {})
        cloud.archive.locked = True
        posture = await store.posture()
        assert posture.assurance is Assurance.WORM_UNLOCKED
        [missing] = posture.missing(Assurance.WORM_LOCKED)
        assert str(missing) == "policy of a stored version: unlocked, 2557 days"

    async def test_a_writer_that_may_overwrite_has_too_wide_a_role(
        self, cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cloud.become(monkeypatch, "operator")
        posture = await store.posture()
        assert posture.assurance is Assurance.MUTABLE
        assert "could overwrite" in finding(posture, "canary").value


async def test_tls_13_can_be_required(cloud: Cloud) -> None:
    store = archive_store(cloud.settings(azure_tls13=True))
    assert (await store.posture()).assurance is Assurance.WORM_LOCKED
    await store.close()
    cloud.tls.maximum_version = cloud.tls.maximum_version.TLSv1_2
    for required in (False, True):
        store = archive_store(cloud.settings(azure_tls13=required))
        if required:
            with pytest.raises(StoreTransient):
                await store.posture()
        else:
            assert finding(await store.posture(), "TLS as negotiated").value == "TLSv1.2"
        await store.close()


async def test_a_certificate_of_nobody_we_know_is_refused(
    cloud: Cloud, tmp_path: Path
) -> None:  # fmt: skip
    store = archive_store(cloud.settings(azure_ca_file=None))
    with pytest.raises(StoreTransient, match="AUDIT_AZURE_CA_FILE"):
        await store.posture()
    await store.close()


async def test_nothing_is_tried_on_an_archive_opened_to_read(cloud: Cloud) -> None:
    from audit_stream.stores.open import open_store

    settings = cloud.settings()
    store = open_store(settings.archive, settings.store_access(), read_only=True)
    posture = await store.posture()
    await store.close()
    assert finding(posture, "canary").standing is Standing.UNKNOWN
    assert not cloud.archive.blobs


async def test_subjects_must_leave_nothing_behind(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "auditor")
    store = subject_store(cloud.settings())
    assert {each.standing for each in await store.findings()} == {Standing.OK}
    facts = cloud.double.management.facts(SUBJECTS_ACCOUNT)
    facts.versioning, facts.soft_delete_days, facts.container_soft_delete_days = True, 7, 7
    bad = [each for each in await store.findings() if each.standing is Standing.BAD]
    assert [each.value for each in bad] == ["on", "7 days", "7 days"]
    cloud.double.accounts[SUBJECTS_ACCOUNT].containers["subjects"].hold("case1")
    assert "subjects: retention or hold: yes" in map(str, await store.findings())
    unreadable(cloud)
    unknown = [each for each in await store.findings() if each.standing is Standing.UNKNOWN]
    assert [each.fact for each in unknown] == ["subjects: versions and soft delete"]
    await store.close()
