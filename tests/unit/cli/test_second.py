"""`audit-stream archive mirror`, `compare` and `repair`, as typed, on folders: a store is destroyed
or tampered with, found, and repaired by a command that only adds."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import pytest

from audit_stream.cli.main import run_command
from audit_stream.redundancy.sides import SIDES, Side, other
from tests.campaigns.tampering.archives import names_of
from tests.campaigns.tampering.scene import LOG, Objects, build
from tests.support import golden
from tests.support.damage import flipped

KEYS = ("--key", golden.trusted().publics[0].hex(), "--log-key", str(LOG.key))
FAMILIES = (
    "segment", "end", "stream object", "status map", "batch", "tile", "witness's note", "timestamp",
    "journal part", "register entry",
)  # fmt: skip
each_side = pytest.mark.parametrize("side", SIDES)


@pytest.fixture(scope="module")
def good() -> Objects:
    return asyncio.run(build()).objects


class Stores:
    """An installation's two folders."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folders: Mapping[Side, Path] = {side: root / side for side in SIDES}
        self.fresh = root / "fresh"
        self._capsys = capsys

    def fill(self, side: Side, objects: Objects) -> None:
        for name, data in objects.items():
            path = self.folders[side] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def read(self, folder: Path) -> Objects:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()
        }  # fmt: skip

    def run(self, *words: str, keys: Sequence[str] = KEYS) -> tuple[int, dict[str, object]]:
        """The exit code, and the JSON answer."""
        self._capsys.readouterr()
        code = run_command([*words, *keys, "--json"])
        said = self._capsys.readouterr().out
        return code, orjson.loads(said) if said else {}

    def verify(self, folder: Path) -> int:
        return self.run("verify", "--archive", folder.as_uri())[0]


@pytest.fixture
def stores(
    tmp_path: Path, good: Objects, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Stores:  # fmt: skip
    for variable in [found for found in os.environ if found.startswith("AUDIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    made = Stores(tmp_path, capsys)
    for side, setting in zip(SIDES, ("AUDIT_ARCHIVE", "AUDIT_ARCHIVE_SECONDARY"), strict=True):
        monkeypatch.setenv(setting, made.folders[side].as_uri())
        made.fill(side, good)
    return made


def test_two_that_are_the_same_are_equal_and_either_alone_verifies(stores: Stores) -> None:
    code, said = stores.run("archive", "compare")
    assert (code, said["verdict"]) == (0, "equal")
    assert [stores.verify(stores.folders[side]) for side in SIDES] == [0, 0]


@each_side
def test_a_store_that_was_destroyed_is_made_again_from_the_other(
    side: Side, stores: Stores, good: Objects
) -> None:
    shutil.rmtree(stores.folders[side])
    assert stores.run("archive", "compare")[0] == 2  # it says which folder is not there
    assert stores.verify(stores.folders[other(side)]) == 0
    code, said = stores.run("archive", "repair", "--from", other(side), "--add")
    assert (code, said["verdict"], said["added"]) == (0, "whole", len(good))
    assert stores.run("archive", "compare")[0] == 0
    assert stores.verify(stores.folders[side]) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_an_object_of_each_family_is_found_and_mended(
    family: str, stores: Stores, good: Objects
) -> None:
    """Removed: it is added. Changed: a whole archive is composed in a fresh store. On either side
    in turn; `tests/unit/redundancy` has each family on both."""
    side = SIDES[FAMILIES.index(family) % 2]
    name = names_of(good, family)[0]
    path = stores.folders[side] / name
    path.unlink()
    code, said = stores.run("archive", "compare")
    assert (code, said["alone"], said["differing"]) == (1, 1, 0)
    dry = stores.run("archive", "repair", "--from", other(side))
    assert (dry[0], dry[1]["added"], path.exists()) == (1, 1, False)
    assert stores.run("archive", "repair", "--from", other(side), "--add")[0] == 0
    assert path.read_bytes() == good[name]

    path.chmod(0o644)
    path.write_bytes(flipped(good[name]))
    code, said = stores.run("archive", "compare")
    assert (code, said["differing"], said["lost"]) == (1, 1, 0)
    (difference,) = said["differences"]  # type: ignore[misc]
    assert (difference["name"], difference["good"]) == (name, [other(side)])
    assert stores.run("archive", "repair", "--from", other(side), "--add")[0] == 1
    assert path.read_bytes() == flipped(good[name])
    into = ("archive", "repair", "--into", stores.fresh.as_uri())
    assert stores.run(*into)[0] == 0
    assert not stores.fresh.exists()
    code, said = stores.run(*into, "--add")
    assert (code, said["verdict"]) == (0, "verified")
    assert stores.read(stores.fresh) == good


@each_side
def test_a_log_and_the_end_of_each_chain_that_were_cut_off_come_back(
    side: Side, stores: Stores, good: Objects
) -> None:
    folder = stores.folders[side]
    for gone in ("log", "tile"):
        shutil.rmtree(folder / gone)
    for chain in {path.parent for path in (folder / "segments").rglob("*.gz")}:
        max(chain.iterdir()).unlink()
    assert stores.run("archive", "compare")[0] == 1
    assert stores.run("archive", "repair", "--from", other(side), "--add")[0] == 0
    assert stores.read(folder) == good


def test_what_neither_has_good_is_said(stores: Stores, good: Objects) -> None:
    name = names_of(good, "segment")[0]
    (stores.folders["primary"] / name).unlink()
    (stores.folders["secondary"] / name).write_bytes(flipped(good[name]))
    code, said = stores.run("archive", "repair", "--add")
    assert (code, said["added"], said["lost"]) == (1, 0, 1)
    code, said = stores.run("archive", "repair", "--into", stores.fresh.as_uri(), "--add")
    assert code == 1
    assert any(name in problem for problem in said["problems"])  # type: ignore[attr-defined]
    assert name not in stores.read(stores.fresh)


def test_mirror_fills_a_new_second_store_and_goes_on_where_it_was_cut_off(
    stores: Stores, good: Objects
) -> None:
    shutil.rmtree(stores.folders["secondary"])
    names = sorted(good)
    code, said = stores.run("archive", "mirror", "--after", names[len(names) // 2])
    assert (code, said["added"]) == (0, len(names) - len(names) // 2 - 1)
    code, said = stores.run("archive", "mirror")
    assert (code, said["verdict"], said["added"]) == (0, "mirrored", len(names) // 2 + 1)
    assert stores.read(stores.folders["secondary"]) == good


def test_mirror_copies_nothing_that_was_tampered_with(stores: Stores, good: Objects) -> None:
    name = names_of(good, "segment")[0]
    (stores.folders["secondary"] / name).unlink()
    (stores.folders["primary"] / name).write_bytes(flipped(good[name]))
    code, said = stores.run("archive", "mirror")
    assert (code, said["verdict"], said["lost"]) == (1, "not_mirrored", 1)
    assert not (stores.folders["secondary"] / name).exists()


def test_any_two_archives_are_compared_object_by_object(stores: Stores, good: Objects) -> None:
    both = [stores.folders[side].as_uri() for side in SIDES]
    assert stores.run("archive", "compare", *both, "--objects")[0] == 0
    (stores.folders["secondary"] / names_of(good, "tile")[0]).unlink()
    assert stores.run("archive", "compare", *both, "--objects")[0] == 1


def test_wrong_use_is_said(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = stores.folders["primary"].as_uri()
    assert run_command(["archive", "compare", primary]) == 2
    assert run_command(["archive", "compare", "--topic", "t"]) == 2
    monkeypatch.delenv("AUDIT_ARCHIVE_SECONDARY")
    assert run_command(["archive", "compare", *KEYS]) == 2
    assert run_command(["archive", "repair", *KEYS]) == 2
    monkeypatch.setenv("AUDIT_ARCHIVE_SECONDARY", f"{primary}/inside")
    assert run_command(["archive", "mirror", *KEYS]) == 2
