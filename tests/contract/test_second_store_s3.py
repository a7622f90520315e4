"""A second store in S3 on versitygw: the first is destroyed, the second is tampered with on its
disk; found, and repaired by commands that only add."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from audit_stream.cli.main import run_command
from tests.campaigns.tampering.archives import names_of
from tests.campaigns.tampering.scene import LOG, Objects, build
from tests.support import golden
from tests.support.damage import flipped
from tests.support.versitygw import Versitygw, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
KEYS = ("--key", golden.trusted().publics[0].hex(), "--log-key", str(LOG.key))
FAMILIES = ("segment", "end", "stream object", "status map", "batch", "tile", "timestamp",
            "journal part", "register entry")  # fmt: skip


class Scene:
    """A folder as the archive, a bucket as the second store."""

    def __init__(
        self, server: Versitygw, disk: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.server, self.folder, self._capsys = server, folder, capsys
        self.bucket = f"second-{uuid4().hex[:12]}"
        self.disk = disk / "data" / self.bucket
        server.create_bucket(self.bucket)

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def run(self, *words: str) -> tuple[int, dict[str, object]]:
        self._capsys.readouterr()
        code = run_command([*words, *KEYS, "--json"])
        said = self._capsys.readouterr().out
        return code, orjson.loads(said) if said else {}


@pytest.fixture(scope="module")
def good() -> Objects:
    return asyncio.run(build()).objects


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versitygw")


@pytest.fixture(scope="module")
def server(disk: Path) -> Iterator[Versitygw]:
    with versitygw(disk) as found:
        yield found


@pytest.fixture
def scene(
    server: Versitygw, disk: Path, tmp_path: Path, good: Objects,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> Scene:  # fmt: skip
    made = Scene(server, disk, tmp_path / "archive", capsys)
    for name, data in good.items():
        path = made.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    settings = server.settings() | {
        "AUDIT_ARCHIVE": made.folder.as_uri(), "AUDIT_ARCHIVE_SECONDARY": made.url,
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    code, said = made.run("archive", "mirror")
    assert (code, said["added"]) == (0, len(good))
    return made


def test_the_archive_is_made_again_from_the_bucket_which_verifies_alone(
    scene: Scene, good: Objects
) -> None:
    assert scene.run("archive", "compare")[0] == 0
    shutil.rmtree(scene.folder)
    assert scene.run("verify", "--archive", scene.url)[0] == 0
    code, said = scene.run("archive", "repair", "--add")
    assert (code, said["added"]) == (0, len(good))
    assert scene.run("verify")[0] == 0
    assert scene.run("archive", "compare")[0] == 0


def test_a_newer_version_and_a_delete_marker_change_nothing(scene: Scene, good: Objects) -> None:
    first, second = sorted(good)[:2]
    scene.server.admin.put_object(Bucket=scene.bucket, Key=first, Body=b"other")
    scene.server.admin.delete_object(Bucket=scene.bucket, Key=second)
    assert scene.run("archive", "compare")[0] == 0


def test_what_is_gone_from_the_servers_disk_is_found_and_added(scene: Scene, good: Objects) -> None:
    """Object Lock keeps it from every request; whoever has the disk needs none."""
    gone = sorted(names_of(good, family)[0] for family in FAMILIES)
    for name in gone:
        (scene.disk / name).unlink()
    code, said = scene.run("archive", "compare")
    assert code == 1
    assert [each["name"] for each in said["differences"]] == gone  # type: ignore[attr-defined]
    code, said = scene.run("archive", "mirror")
    assert (code, said["added"]) == (0, len(gone))
    assert scene.run("verify", "--archive", scene.url)[0] == 0


def test_what_was_changed_on_the_servers_disk_is_found_and_a_whole_archive_composed(
    scene: Scene, good: Objects
) -> None:
    """The server gives such an object out with the checksum of what it was: it cannot be read."""
    changed = sorted(names_of(good, family)[0] for family in ("segment", "batch", "status map"))
    for name in changed:
        (scene.disk / name).write_bytes(flipped(good[name]))
    code, said = scene.run("archive", "compare")
    assert code == 1
    found = {each["name"]: each["good"] for each in said["differences"]}  # type: ignore[attr-defined]
    assert found == {name: ["primary"] for name in changed}
    fresh = f"fresh-{uuid4().hex[:12]}"
    scene.server.create_bucket(fresh)
    code, said = scene.run("archive", "repair", "--into", f"s3://{fresh}", "--add")
    assert (code, said["verdict"]) == (0, "verified")
