"""The commands for the protection of an archive in S3, over TLS, as the people who run them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from tests.contract.s3_attacker import BucketTarget
from tests.contract.worm_store_contract import META
from tests.support.certificates import identity
from tests.support.versitygw import Versitygw, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
Run = Callable[..., int]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    folder = tmp_path_factory.mktemp("versitygw")
    with versitygw(folder, tls=identity(folder, "s3")) as server:
        yield server


@pytest.fixture
def target(gateway: Versitygw) -> BucketTarget:
    found = BucketTarget(gateway)
    gateway.create_bucket(f"{found.bucket}-subjects", locked=False)
    return found


@pytest.fixture
def run(
    gateway: Versitygw, target: BucketTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """A command line, for the archive in the bucket; its exit code."""

    def run(*words: str, **extra: str) -> int:
        archive = {"AUDIT_ARCHIVE": f"s3://{target.bucket}", "AUDIT_RETENTION_DAYS": "400"}
        for name, value in (gateway.settings() | archive | extra).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        return run_command(list(words))

    return run


def test_check_says_every_fact_and_the_level(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("archive", "check", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["assurance"], said["good"]) == ("worm_locked", True)
    found = {each["fact"]: each for each in said["findings"]}
    assert found["retention of a stored object"]["found"] == "COMPLIANCE, 400 days"
    assert found["subjects: a wrong entity tag"]["verdict"] == "ok"


def test_check_of_subjects_that_keep_versions_is_not_good(
    run: Run, gateway: Versitygw, target: BucketTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.create_bucket(f"{target.bucket}-kept")
    assert run("archive", "check", AUDIT_SUBJECTS=f"s3://{target.bucket}-kept") == 1
    assert "what was rewritten can be brought back" in " ".join(capsys.readouterr().out.split())


def test_there_is_nothing_to_lock(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("archive", "lock", "--days", "2557") == 2
    assert "each object is locked when it is put" in capsys.readouterr().err


async def test_retain_extends_each_object_and_reads_back(
    run: Run, target: BucketTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    store = target.open()
    for name in ("a/b", "a/c"):
        await store.put_if_absent(name, b"one", META)
    await target.close()

    assert await asyncio.to_thread(run, "archive", "retain", "--for", "500d") == 0
    assert "2 are kept for less than 500 days" in capsys.readouterr().out
    assert await asyncio.to_thread(run, "archive", "retain", "--for", "500d", "--run") == 0
    assert "read back: 0 are kept for less" in capsys.readouterr().out
    assert await asyncio.to_thread(run, "archive", "retain", "--for", "400d", "--run") == 0
    assert "0 are kept for less than 400 days" in capsys.readouterr().out


async def test_retain_goes_by_the_oldest_version_whatever_stands_in_front_of_it(
    run: Run, target: BucketTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later version that is kept for longer does not keep the object."""
    store = target.open()
    await store.put_if_absent("a/b", b"one", META)
    await target.close()
    target.client.put_object(
        Bucket=target.bucket, Key="a/b", Body=b"other", ChecksumAlgorithm="SHA256",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=5000),
    )  # fmt: skip
    words = ("archive", "retain", "--for", "500d")
    assert await asyncio.to_thread(run, *words) == 0
    assert "1 are kept for less than 500 days" in capsys.readouterr().out
    assert await asyncio.to_thread(run, *words, "--run") == 0
    assert "read back: 0 are kept for less" in capsys.readouterr().out
    oldest = target.oldest("a/b")
    found = target.client.get_object_retention(
        Bucket=target.bucket, Key="a/b", VersionId=oldest["VersionId"]
    )["Retention"]
    assert (found["RetainUntilDate"] - oldest["LastModified"]).days in (499, 500)


async def test_retain_passes_over_a_name_of_which_only_markers_are_left(
    run: Run, target: BucketTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    store = target.open()
    await store.put_if_absent("z", b"one", META)
    await target.close()
    at = {"Bucket": target.bucket, "Key": "gone"}
    version = target.client.put_object(**at, Body=b"x")["VersionId"]
    target.client.delete_object(**at)
    target.client.delete_object(**at, VersionId=version)
    assert [each["Key"] for each in target.server.versions(target.bucket)] == ["z", "gone"]
    assert await asyncio.to_thread(run, "archive", "retain", "--for", "500d", "--run") == 0
    said = capsys.readouterr()
    assert "1 objects, 1 are kept for less" in said.out
    assert "read back: 0 are kept for less" in said.out
    assert "of 1 names only markers of a removal are left" in " ".join(said.err.split())
