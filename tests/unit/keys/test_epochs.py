"""A keyring's next epoch: swapped whole or not at all, and views that follow it."""

from __future__ import annotations

import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.errors import KeyringError
from audit_stream.keys.epochs import advance, bring_up, destroy_strays, read_master, replace_keyring
from audit_stream.keys.file import create_keyring, load_keyring, role_of, write_view
from audit_stream.keys.lock import keyring_lock
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subjects import KeyDeriver, era, tags_of

SUBJECT, OTHER = ("t1", "external", "CUST_1"), ("t1", "external", "CUST_2")
STREAM, YEAR = bytes(16), 2026


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "master" / "keyring.json", "audit.example")
    return tmp_path / "master" / "keyring.json"


def erase(path: Path) -> None:
    ring = read_master(path)
    advance(path, ring, lambda tree: [path_of(TagMaker(tree.pepper).tag(SUBJECT))])


def derive(path: Path, subject: tuple[str, str, str]) -> object:
    loaded = load_keyring(path)
    return KeyDeriver(loaded.keyring, loaded.cover, STREAM).keys(subject, YEAR)


def derive_at(path: Path, epoch: int) -> object:
    loaded = load_keyring(path)
    return KeyDeriver(loaded.keyring, loaded.cover, STREAM, epoch).keys(SUBJECT, YEAR)


def test_what_a_restore_left_that_was_cut_off_is_destroyed(path: Path) -> None:
    left = {
        ".cover-1.bin.restoring": path.with_name("cover-1.bin"), ".keyring.json.restoring": path,
    }  # fmt: skip
    for name, copied in left.items():
        shutil.copy(copied, path.with_name(name))
    erase(path)
    assert set(destroy_strays(path)) == {"cover-1.bin", *left}
    assert sorted(each.name for each in path.parent.iterdir()) == ["cover-1-2.bin", path.name]


def test_the_erased_has_no_key_and_the_others_have_theirs(path: Path) -> None:
    before = derive(path, OTHER)
    erase(path)
    assert load_keyring(path).keyring.epoch == 2
    assert derive(path, SUBJECT) is None
    assert derive(path, OTHER) == before


def test_what_a_cut_off_try_left_is_in_nobodys_way(path: Path) -> None:
    (path.parent / "cover-1-2.bin").write_bytes(b"half a cover")
    erase(path)
    assert derive(path, SUBJECT) is None
    assert destroy_strays(path) == ["cover-1.bin"]
    assert sorted(each.name for each in path.parent.iterdir()) == ["cover-1-2.bin", path.name]


def test_a_keyring_that_was_changed_meanwhile_is_left(path: Path) -> None:
    old = read_master(path)
    erase(path)
    standing = path.read_bytes()
    with pytest.raises(KeyringError, match="changed meanwhile"):
        advance(path, old, lambda _: [])
    with pytest.raises(KeyringError, match="changed meanwhile"):
        replace_keyring(path, old, replace(old, epoch=9))
    assert path.read_bytes() == standing
    assert derive(path, SUBJECT) is None  # no cover that it names was touched


def test_what_a_swap_left_that_was_cut_off_goes_with_the_next(path: Path) -> None:
    """It has every key of then: a year's that is destroyed later, too."""
    left = path.with_name("keyring.0123abcd.tmp")
    left.write_bytes(path.read_bytes())
    replace_keyring(path, read_master(path), replace(read_master(path), epoch=2))
    assert sorted(each.name for each in path.parent.iterdir()) == ["cover-1.bin", path.name]


@pytest.mark.parametrize("role", ["worker", "notary", "gateway"])
def test_a_view_follows_without_what_it_must_not_hold(path: Path, role: str) -> None:
    view = path.parent.parent / role / "keyring.json"
    write_view(load_keyring(path), path, role, view.parent)
    erase(path)
    with pytest.raises(KeyringError, match="view of a"):
        read_master(view)
    for _ in range(2):
        bring_up(path, view)
        assert load_keyring(view).keyring.epoch == 2
        assert role_of(load_keyring(view).keyring) == role
        assert derive(view, SUBJECT) is None
    assert [each.name for each in view.parent.glob("cover-*")] == ["cover-1-2.bin"]


def test_a_view_that_is_ahead_is_left(path: Path) -> None:
    view = path.parent.parent / "view" / "keyring.json"
    write_view(load_keyring(path), path, "worker", view.parent)
    ahead = load_keyring(view).keyring
    replace_keyring(view, ahead, replace(ahead, epoch=5))
    with pytest.raises(KeyringError, match="beyond"):
        bring_up(path, view)


def test_who_returns_has_other_keys_until_erased_again(path: Path) -> None:
    first = derive(path, SUBJECT)
    erase(path)
    ring = read_master(path)
    (tag,) = tags_of(ring, SUBJECT)
    ring = advance(path, ring, lambda _: [], {tag: (3,)})
    assert load_keyring(path).keyring == ring
    again = derive(path, SUBJECT)
    assert again is not None
    assert again != first
    assert derive_at(path, 2) is None  # what was sealed while they were erased, stays closed
    assert derive_at(path, 3) == again
    assert era(ring, 2) != era(ring, 3) == era(ring, 9)
    tags = tags_of(ring, SUBJECT)
    assert len(tags) == 2
    advance(path, ring, lambda _: map(path_of, tags))
    assert derive(path, SUBJECT) is None
    assert derive(path, OTHER) is not None


def test_a_cover_of_many_erasures_is_mapped_and_hardly_in_memory(path: Path) -> None:
    drawn = random.Random(1)
    advance(path, read_master(path), lambda _: [drawn.getrandbits(56) for _ in range(2_000)])
    loaded = load_keyring(path)
    kilobytes = mapped_kilobytes(path.with_name("cover-1-2.bin"))
    assert len(loaded.cover) > 4 << 20
    assert kilobytes < 1024
    drawn = random.Random(1)
    assert Cover(loaded.cover).find(drawn.getrandbits(56)) is None


def mapped_kilobytes(file: Path) -> int:
    """How much of a file is in this process's memory, by all its maps of it."""
    maps = Path("/proc/self/smaps").read_text()
    blocks = re.findall(rf" {re.escape(str(file))}\n(?:.*\n)*?Rss: +(\d+) kB", maps)
    assert blocks, f"{file} is not mapped"
    return sum(map(int, blocks))


def test_one_at_a_time_holds_the_lock(path: Path) -> None:
    def take() -> None:
        with keyring_lock(path, wait=0.0):
            pass

    with keyring_lock(path), pytest.raises(KeyringError, match="another process"):
        take()
    take()


def test_puncturing_at_once_is_puncturing_one_by_one(path: Path) -> None:
    ring = read_master(path)
    maker = TagMaker(ring.trees[0].pepper)
    paths = [path_of(maker.tag(("t", "external", str(n)))) for n in range(300)]
    genesis = load_keyring(path).cover
    at_once = Cover(genesis).puncture(paths)
    one_by_one = bytes(genesis)
    for each in paths:
        one_by_one = Cover(one_by_one).puncture([each])
    assert at_once == one_by_one
    assert Cover(at_once).puncture(paths) == at_once
    entries = [at_once[i : i + 40] for i in range(0, len(at_once), 40)]
    assert entries == sorted(entries, key=lambda entry: (entry[1:8], entry[0]))
    assert all(Cover(at_once).find(each) is None for each in paths)
