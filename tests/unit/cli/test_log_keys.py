"""Rotating the archive's signing key, command by command, as the how-to has it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from audit_stream.cli.main import run_command
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.file import create_keyring, load_keyring, write_view
from audit_stream.stores.file import FileStore
from tests.support.chains import NAME, ChainMaker, stream_of

Captured = pytest.CaptureFixture[str]
Ask = Callable[..., Any]


class Installation:
    """An archive and its keyring, the settings in the environment."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.folder, self._environment = folder, environment
        self.keyring = folder / "keys" / "keyring.json"
        create_keyring(self.keyring, NAME)
        settings = {
            "ARCHIVE": (folder / "archive").as_uri(), "ARCHIVE_NAME": NAME,
            "SUBJECTS": folder.as_uri(), "BROKER": "kafka://127.0.0.1:1",
        }  # fmt: skip
        for name, value in settings.items():
            environment.setenv(f"AUDIT_{name}", value)
        self.use(self.keyring)
        (folder / "archive").mkdir()
        self.maker = ChainMaker(
            FileStore(folder / "archive"), stream_of("t"), load_keyring(self.keyring).signer
        )
        asyncio.run(self.maker.found())

    def use(self, keyring: Path) -> None:
        self._environment.setenv("AUDIT_KEYRING", str(keyring))

    def seal(self, signer: LineSigner | None = None) -> None:
        self.maker.signer = signer or self.maker.signer
        asyncio.run(self.maker.add())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(tmp_path, monkeypatch)


@pytest.fixture
def ask(capsys: Captured) -> Ask:
    """Runs a command; its JSON answer."""

    def asked(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run_command([*words, "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return asked


def said(answer: Any) -> list[tuple[str, int, int | None]]:
    return [(key["use"], key["not_before_size"], key["revoked_at_size"]) for key in answer["keys"]]


def test_the_signing_key_is_rotated(here: Installation, ask: Ask) -> None:
    here.seal()
    old = load_keyring(here.keyring)
    assert said(ask("log", "announce", "--reason", "the first")) == [
        ("log", 0, None), ("segment", 0, None),
    ]  # fmt: skip
    assert ask("log", "announce", "--reason", "the first") == {"keys": []}

    successor = here.folder / "next" / "keyring.json"
    assert run_command(["keyring", "rotate", str(successor.parent)]) == 0
    new = load_keyring(successor)
    assert set(new.trusted.kids) == {old.signer.kid, new.signer.kid}
    shutil.copy(successor.with_name("public.txt"), here.keyring.with_name("public.txt"))
    assert load_keyring(here.keyring).trusted.kids == new.trusted.kids
    assert load_keyring(here.keyring).signer.kid == old.signer.kid

    [key] = ask("log", "announce", "--reason", "yearly")["keys"]
    assert (key["kid"], key["use"]) == (new.signer.kid, "segment")
    here.seal(new.signer)
    here.use(successor)
    [key] = ask("log", "revoke", old.signer.kid, "--reason", "yearly")["keys"]
    assert key["revoked_at_size"] > key["not_before_size"] == 0
    assert said(ask("log", "keys")) == [
        ("log", 0, None), ("segment", 0, key["revoked_at_size"]),
        ("segment", ask("log", "keys")["keys"][2]["not_before_size"], None),
    ]  # fmt: skip
    assert ask("verify")["verdict"] == "verified"
    here.seal(old.signer)
    assert run_command(["notary", "--once"]) == 0
    [problem] = ask("verify", code=1)["problems"]
    assert problem.startswith("V24")


def test_a_key_that_still_signs_is_not_revoked(
    here: Installation, ask: Ask, capsys: Captured
) -> None:
    """What a forgotten worker goes on to sign could never be made good."""
    old = load_keyring(here.keyring).signer
    assert run_command(["log", "announce", "--reason", "the first"]) == 0
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) == 0
    here.use(here.folder / "next" / "keyring.json")
    assert run_command(["log", "announce", "--reason", "yearly"]) == 0
    here.seal(old)
    assert run_command(["log", "revoke", old.kid, "--reason", "yearly"]) == 2
    assert "has signed since the log was last written" in capsys.readouterr().err
    assert {key["revoked_at_size"] for key in ask("log", "keys")["keys"]} == {None}
    [key] = ask("log", "revoke", old.kid, "--reason", "yearly")["keys"]
    assert ask("verify")["verdict"] == "verified"
    assert key["revoked_at_size"] is not None


def test_a_stolen_key_that_still_signs_is_revoked(here: Installation, ask: Ask) -> None:
    old = load_keyring(here.keyring).signer
    assert run_command(["log", "announce", "--reason", "the first"]) == 0
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) == 0
    here.use(here.folder / "next" / "keyring.json")
    end = ask("log", "announce", "--reason", "yearly")["keys"][0]["not_before_size"]
    here.seal(old)
    [key] = ask("log", "revoke", old.kid, "--reason", "a thief", "--from", str(end))["keys"]
    assert key["revoked_at_size"] == end
    [problem] = ask("verify", code=1)["problems"]
    assert problem.startswith("V24 segments/")


def test_what_a_thief_put_or_took_keeps_no_key_from_being_revoked(
    here: Installation, ask: Ask, capsys: Captured
) -> None:
    old = load_keyring(here.keyring).signer
    here.seal()
    here.seal()
    assert run_command(["log", "announce", "--reason", "the first"]) == 0
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) == 0
    here.use(here.folder / "next" / "keyring.json")
    assert run_command(["log", "announce", "--reason", "yearly"]) == 0
    archive = here.folder / "archive"
    (archive / str(SegmentName("t", 1, 0, 19))).write_bytes(b"junk")
    (archive / str(SegmentName("t", 1, 0, 10))).unlink()
    assert run_command(["log", "revoke", old.kid, "--reason", "a thief"]) == 0
    assert "fork:t/0: left out of the archive log" in capsys.readouterr().err
    keys = [(key["kid"], key["revoked_at_size"]) for key in ask("log", "keys")["keys"]]
    assert [revoked for kid, revoked in keys if kid == old.kid] != [None]


def test_a_view_trusts_the_successor_too(here: Installation) -> None:
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) == 0
    path = here.folder / "next" / "keyring.json"
    for role in ("worker", "notary", "gateway"):
        write_view(load_keyring(path), path, role, here.folder / role)
        view = load_keyring(here.folder / role / "keyring.json")
        assert view.trusted.kids == load_keyring(path).trusted.kids
    assert load_keyring(path).keyring.log_key == load_keyring(here.keyring).keyring.log_key
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) != 0


def test_public_keys_of_another_archive_are_refused(here: Installation, capsys: Captured) -> None:
    other = here.folder / "other" / "keyring.json"
    create_keyring(other, NAME)
    write_view(load_keyring(other), other, "gateway", here.folder / "view")
    shutil.copy(here.folder / "view" / "public.txt", here.keyring.parent)
    assert run_command(["keyring", "public"]) != 0
    assert "another archive or log key" in capsys.readouterr().err


def test_a_first_announcement_is_of_the_key_that_began(
    here: Installation, capsys: Captured
) -> None:
    assert run_command(["keyring", "rotate", str(here.folder / "next")]) == 0
    here.use(here.folder / "next" / "keyring.json")
    assert run_command(["log", "announce", "--reason", "too late"]) == 2
    assert "trusts several" in capsys.readouterr().err
    assert not (here.folder / "archive" / "log").exists()


def test_a_gateways_keys_are_announced_from_its_key_set(
    here: Installation, ask: Ask, tmp_path: Path, capsys: Captured
) -> None:
    answer = ECKey.generate_key("P-256")
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [answer.as_dict(private=False)]}))
    keys = ask("log", "announce", "--reason", "first", "--key-set", str(path))["keys"]
    assert [(key["use"], key["kid"]) for key in keys][2:] == [("answer", answer.thumbprint())]
    x = answer.as_dict(private=False)["x"]
    for bad in ("no", '{"keys":1}', path.read_text().replace(str(x), str(x)[:-2])):
        path.write_text(bad)
        command = ["log", "announce", "--reason", "x", "--key-set", str(path)]
        assert run_command(command) == 2
        assert "no JWKS of P-256 keys" in capsys.readouterr().err


def test_who_has_no_log_key_announces_nothing(here: Installation, capsys: Captured) -> None:
    write_view(load_keyring(here.keyring), here.keyring, "worker", here.folder / "w")
    here.use(here.folder / "w" / "keyring.json")
    assert run_command(["log", "announce", "--reason", "x"]) != 0
    assert "no log key" in capsys.readouterr().err
    assert not (here.folder / "archive" / "log").exists()


def test_a_log_that_was_not_begun_knows_no_key(here: Installation, capsys: Captured) -> None:
    assert run_command(["log", "keys"]) == 1
    assert "was not begun" in capsys.readouterr().err
