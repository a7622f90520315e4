"""How the settings say who vouches for the log, and what is made of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from audit_stream.app.anchoring import anchoring_of, own_trust
from audit_stream.errors import ConfigError
from audit_stream.evidence.note import COSIGNATURE, NoteKey
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.logs import SIGNER, WrittenLog
from tests.support.tsa import LocalAuthority, serving, timestamps
from tests.unit.anchors.test_witness import KEY, Server

LOGIN = "http://user:hunter2@tsa.example/tsr"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(**flags: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.load(**flags)
    return caught.value


def test_by_default_nobody_vouches() -> None:
    settings = Settings.load()
    assert settings.timestamp_authorities() == {}
    assert settings.witnesses() == []


def test_authorities_are_given_or_lie_in_a_file() -> None:
    text = f"one={LOGIN}, two=https://tsa.example/a?b=c"
    Path("urls").write_text(text.replace(", ", "\n") + "\n")
    for given in ({"anchor_tsa_urls": text}, {"anchor_tsa_urls_file": "urls"}):
        settings = Settings.load(**given, anchor_tsa_certificates="roots.pem")
        urls = {name: url() for name, url in settings.timestamp_authorities().items()}
        assert urls == {"one": LOGIN, "two": "https://tsa.example/a?b=c"}
        assert "hunter2" not in repr(settings)
        assert "hunter2" not in str(settings)


def test_the_file_is_read_again() -> None:
    Path("urls").write_text(f"one={LOGIN}")
    settings = Settings.load(anchor_tsa_urls_file="urls", anchor_tsa_certificates="roots.pem")
    url = settings.timestamp_authorities()["one"]
    Path("urls").write_text("one=http://new.example/")
    assert url() == "http://new.example/"
    Path("urls").write_text("other=http://new.example/")
    with pytest.raises(ConfigError, match="one is gone"):
        url()


@pytest.mark.parametrize(
    "text", ["one", LOGIN, "one=ftp://x", "a b=http://x", "one=http://x,one=http://y", "/=http://x"]
)
def test_another_form_is_refused_without_showing_it(text: str) -> None:
    error = refused(anchor_tsa_urls=text, anchor_tsa_certificates="roots.pem")
    assert "AUDIT_ANCHOR_TSA_URLS" in error.message
    assert "hunter2" not in str(error)
    Path("urls").write_text(text)
    settings = Settings.load(anchor_tsa_urls_file="urls", anchor_tsa_certificates="roots.pem")
    with pytest.raises(ConfigError, match="AUDIT_ANCHOR_TSA_URLS_FILE"):
        settings.timestamp_authorities()


def test_authorities_need_roots() -> None:
    assert "AUDIT_ANCHOR_TSA_CERTIFICATES" in refused(anchor_tsa_urls=f"one={LOGIN}").message


def test_witnesses_are_keys_and_urls() -> None:
    other = NoteKey(name="w2", kind=COSIGNATURE, public=b"\x01" * 32)
    text = f"{KEY}@https://w1.example/add/, {other}@http://user@w2.example"
    assert Settings.load(anchor_witnesses=text).witnesses() == [
        (KEY, "https://w1.example/add/"), (other, "http://user@w2.example"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "https://w1.example", f"{KEY}", f"{KEY}@ftp://x", f"{SIGNER.key}@http://x",
        f"{KEY}@http://x,{KEY}@http://y", f"{str(KEY).replace('+', '+0', 1)}@http://x",
        f"x{KEY}@http://x",
    ],
)  # fmt: skip
def test_what_is_no_witness_is_refused(text: str) -> None:
    assert "AUDIT_ANCHOR_WITNESSES" in refused(anchor_witnesses=text).message


@pytest.mark.parametrize("content", [None, "", "no certificates"])
def test_roots_that_cannot_be_read_are_told_at_the_start(content: str | None) -> None:
    if content is not None:
        Path("roots.pem").write_text(content)
    settings = Settings.load(anchor_tsa_urls=f"one={LOGIN}", anchor_tsa_certificates="roots.pem")
    log = WrittenLog()
    with pytest.raises(ConfigError, match="AUDIT_ANCHOR_TSA_CERTIFICATES"):
        anchoring_of(settings, log.store, SIGNER.key, AlarmBoard("notary"))
    with pytest.raises(ConfigError, match="AUDIT_ANCHOR_TSA_CERTIFICATES"):
        own_trust(settings, SIGNER.key)


def test_a_ca_file_that_cannot_be_read_names_its_setting() -> None:
    settings = Settings.load(anchor_ca_file="missing.pem")
    with pytest.raises(ConfigError, match="AUDIT_ANCHOR_CA_FILE"):
        anchoring_of(settings, WrittenLog().store, SIGNER.key, AlarmBoard("notary"))


async def test_whoever_the_settings_name_is_asked(tmp_path: Path) -> None:
    local, log = LocalAuthority(tmp_path / "authority"), WrittenLog()
    with ExitStack() as served:
        url = served.enter_context(serving(timestamps(local)))
        witness = served.enter_context(serving(Server(), "/add-checkpoint"))
        settings = Settings.load(
            anchor_tsa_urls=f"one={url}/tsr", anchor_tsa_certificates=str(local.roots),
            anchor_witnesses=f"{KEY}@{witness}",
        )  # fmt: skip
        anchoring = anchoring_of(settings, log.store, SIGNER.key, AlarmBoard("notary"))
        anchoring.offer(await log.grow(1))
        await anchoring.settle()
    names = await log.store.names("anchor/")
    assert [name.rpartition(".")[2] for name in names] == ["tsr", "note"]
    trust = own_trust(settings, SIGNER.key)
    assert list(trust.policy.witnesses.values()) == [KEY]
    assert len(trust.authorities.roots) == 1
