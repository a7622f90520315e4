"""A keyring as Kubernetes mounts a Secret: root's, readable by the pod's group."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.errors import KeyringError
from audit_stream.keys.facts import file_facts
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.keys.modes import is_open_to_others, is_writable_by_others
from audit_stream.privacy.keyring import parse_keyring

OURS = 10001
FILES = ("keyring.json", "cover-1.bin")


@contextlib.contextmanager
def as_pod() -> Iterator[None]:
    """Be the image's user, with its own group alone."""
    groups = os.getgroups()
    os.setgroups([OURS])
    os.setegid(OURS)
    os.seteuid(OURS)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def mounted() -> Iterator[Path]:
    """The keyring file of a Secret's volume, laid out as a kubelet does: files behind two links."""
    if os.geteuid() != 0:
        if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
            pytest.fail("only root can lay out files as a kubelet does", pytrace=False)
        pytest.skip("NOT RUN: only root can lay out files as a kubelet does")
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name)
        data = volume / "..2026_11_26_12_00_00.1"
        create_keyring(data / "keyring.json", "archive")
        (volume / "..data").symlink_to(data.name)
        for file in FILES:
            (volume / file).symlink_to(f"..data/{file}")
        for folder in (volume, data):
            folder.chmod(0o755)
        lent(volume, 0o440)
        yield volume / "keyring.json"


def lent(volume: Path, mode: int, owner: int = 0, group: int = OURS) -> None:
    for file in FILES:
        os.chown(volume / file, owner, group)
        (volume / file).chmod(mode)


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o400 | 0o040])
def test_a_secret_is_read_by_the_pods_group(mounted: Path, mode: int) -> None:
    lent(mounted.parent, mode)
    with as_pod():
        assert load_keyring(mounted).keyring.archive == "archive"


@pytest.mark.parametrize("mode", [0o444, 0o460, 0o450, 0o442, 0o660])
def test_nobody_else_may_and_nobody_may_write(mounted: Path, mode: int) -> None:
    lent(mounted.parent, mode)
    with as_pod(), pytest.raises(KeyringError, match="open to others"):
        load_keyring(mounted)


def test_a_file_of_our_own_is_no_groups(mounted: Path) -> None:
    lent(mounted.parent, 0o440, owner=OURS)
    with as_pod(), pytest.raises(KeyringError, match="open to others"):
        load_keyring(mounted)


def test_root_itself_lends_nothing_to_its_group(mounted: Path) -> None:
    with pytest.raises(KeyringError, match="open to others"):
        load_keyring(mounted)


def test_a_group_that_is_not_ours_reads_nothing(mounted: Path) -> None:
    lent(mounted.parent, 0o440, group=OURS + 1)
    with as_pod(), pytest.raises(KeyringError, match="cannot read"):
        load_keyring(mounted)


@pytest.mark.parametrize(
    ("mode", "owner", "is_open"),
    [(0o600, OURS, False), (0o400, OURS, False), (0o640, OURS, True), (0o440, 0, False),
     (0o400, 0, False), (0o440, OURS + 1, True), (0o441, 0, True), (0o444, 0, True)],
)  # fmt: skip
def test_who_may_open_it(mode: int, owner: int, is_open: bool) -> None:
    found = os.stat_result((mode | 0o100000, 0, 0, 1, owner, OURS, 0, 0, 0, 0))
    assert is_open_to_others(found, process=OURS) is is_open


@pytest.mark.parametrize(("mode", "writable"), [(0o444, False), (0o464, True), (0o446, True)])
def test_who_may_write_it(mode: int, writable: bool) -> None:
    found = os.stat_result((mode | 0o100000, 0, 0, 1, 0, OURS, 0, 0, 0, 0))
    assert is_writable_by_others(found) is writable


def test_a_folder_that_is_open_by_mode_is_wrong_unless_nobody_can_write_there(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = parse_keyring(mounted.read_bytes())
    mounted.parent.chmod(0o1777)  # as a kubelet makes it
    folder, *_ = file_facts(mounted, ring)
    assert "can replace" in folder.wrong
    asked = os.statvfs(mounted.parent)
    answer = os.statvfs_result((*asked[:8], asked.f_flag | os.ST_RDONLY, asked[9]))
    monkeypatch.setattr(os, "statvfs", lambda _: answer)  # none may be mounted here
    folder, *_ = file_facts(mounted, ring)
    assert folder.wrong == ""
