"""Covers wrapped by Key Vault, over its double: who may do what, and what is gone stays gone."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import KeyringError, VaultAway
from audit_stream.evidence.encoding import time_text
from audit_stream.keys.vault import VaultCovers, key_name
from audit_stream.keys.wrapping import header_of, is_wrapped, read_header
from tests.support.vault import DAY, Refused, VaultDouble

ARCHIVE = "audit.example/Acme"
COVER = bytes([3]) + bytes(range(1, 120))
NAME = key_name(ARCHIVE, 1)
Become = Callable[[str], VaultCovers]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VaultDouble]:
    with VaultDouble(tmp_path) as started:
        yield started


@pytest.fixture
def become(double: VaultDouble, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Covers as one of the double's identities."""

    def as_(who: str) -> VaultCovers:
        for name, value in double.environment(who).items():
            monkeypatch.setenv(name, value)
        return VaultCovers(ARCHIVE, double.access())

    return as_


@given(st.lists(st.tuples(st.text(min_size=1, max_size=128), st.integers(1, 99)), min_size=2))
def test_no_two_epochs_or_archives_share_a_key(names: list[tuple[str, int]]) -> None:
    keys = {key_name(*each).lower() for each in names}
    assert len(keys) == len(set(names))
    assert all(len(key) <= 127 and key.replace("-", "").isalnum() and key.isascii() for key in keys)


def test_names_are_readable_and_told_apart() -> None:
    assert key_name("audit-stream", 12) == "as-tree-audit-stream-12"
    assert NAME.startswith("as-tree-audit-example-acme-")
    hashed = NAME.removeprefix("as-tree-").removesuffix("-1")
    assert len({key_name(each, 1) for each in ("acme", "Acme", "ac.me", "a" * 128, hashed)}) == 5
    alone = key_name("…", 1).removeprefix("as-tree-").removesuffix("-1")
    assert len(alone) == 16
    assert key_name(alone, 1) != key_name("…", 1)
    assert key_name(hashed, 1) != NAME


def test_a_wrapped_cover_opens_and_shows_nothing(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    one, two = covers.wrap(1, COVER), covers.wrap(1, memoryview(COVER))
    assert bytes(covers.unwrap(one)) == bytes(covers.unwrap(two)) == COVER
    assert COVER[8:40] not in one
    first, second = (read_header(each)[0] for each in (one, two))
    assert (first.archive, first.epoch) == (ARCHIVE, 1)
    assert first.key == second.key == f"{double.url}/keys/{NAME}/{1:032x}"
    assert first.nonce != second.nonce
    assert first.wrapped != second.wrapped


def test_each_epoch_has_a_key_of_its_own_name_and_one_version(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    for epoch in (1, 2, 2):
        covers.wrap(epoch, COVER)
    assert double.vault.keys.keys() == {NAME, key_name(ARCHIVE, 2)}
    for key in double.vault.keys.values():
        [(_, private)] = key.versions.items()
        assert (private.key_size, key.operations) == (3072, ["wrapKey", "unwrapKey"])


def test_a_worker_needs_to_unwrap_and_does_nothing_else(
    double: VaultDouble, become: Become
) -> None:
    data = become("keeper").wrap(1, COVER)
    worker = become("worker")
    assert bytes(worker.unwrap(data)) == COVER
    assert {*double.asked("worker")} == {("POST", f"/keys/{NAME}/{1:032x}/unwrapkey")}
    acts: list[Callable[[], object]] = [
        lambda: worker.wrap(1, COVER), lambda: worker.wrap(2, COVER), lambda: worker.destroy(1),
        lambda: become("nobody").unwrap(data),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(KeyringError, match=r"refused \(Forbidden\)") as caught:
            act()
        assert "role" in caught.value.hint
        assert not isinstance(caught.value, VaultAway)
    assert double.vault.keys.keys() == {NAME}


def test_what_is_destroyed_opens_no_copy_of_before(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    data, other = covers.wrap(1, COVER), covers.wrap(2, COVER)
    began = datetime.now(UTC)
    done = covers.destroy(1, data)
    assert done.kind == "key-vault-purged"
    effective = datetime.fromisoformat(done.effective_at) + timedelta(milliseconds=1)
    assert began <= effective <= datetime.now(UTC) + timedelta(milliseconds=1)
    assert NAME not in double.vault.keys | double.vault.deleted
    with pytest.raises(KeyringError, match="is not in the vault"):
        covers.unwrap(data)
    with pytest.raises(Refused):
        double.vault.recover(NAME)
    assert bytes(covers.unwrap(other)) == COVER


@pytest.mark.parametrize("who", ["no-purge", "keeper"])
def test_where_nobody_may_purge_the_vault_sets_the_day(
    double: VaultDouble, become: Become, who: str
) -> None:
    double.vault.purge_protection = who == "keeper"
    covers, asked = become(who), double.vault.clock
    data = covers.wrap(1, COVER)
    done = covers.destroy(1, data)
    assert done.kind == "key-vault-scheduled"
    assert done.effective_at == time_text((asked + 7 * DAY) * 1000)
    with pytest.raises(KeyringError, match="is not in the vault"):
        covers.unwrap(data)
    double.vault.clock += DAY
    assert covers.destroy(1, data) == done  # the day stays
    double.vault.clock += 6 * DAY
    assert covers.destroy(1, data).kind == "key-vault-purged"


def test_a_destruction_that_broke_off_is_gone_on_with(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    double.vault.delete(NAME)
    assert covers.destroy(1, data).kind == "key-vault-purged"
    assert covers.destroy(1).kind == "key-vault-purged"
    assert double.vault.deleted == {}


def test_a_slow_vault_is_waited_for(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    covers.wrap(1, COVER)
    double.vault.slow = 3
    assert covers.destroy(1).kind == "key-vault-purged"
    looks = [each for each in double.asked("keeper") if each == ("GET", f"/deletedkeys/{NAME}")]
    assert len(looks) == 3 + 1 + 3 + 1


@pytest.mark.parametrize("seen", [False, True])
def test_what_is_not_seen_to_be_done_is_not_said_to_be(
    double: VaultDouble, become: Become, seen: bool
) -> None:
    become("keeper").wrap(1, COVER)
    covers = VaultCovers(ARCHIVE, double.access(patience_seconds=0.2))
    if seen:
        double.vault.delete(NAME)
    double.vault.slow = 1_000
    with pytest.raises(VaultAway, match="is still being " + ("purged" if seen else "deleted")):
        covers.destroy(1)


def test_a_key_that_is_in_neither_list_yet_is_not_taken_for_purged(
    double: VaultDouble, become: Become
) -> None:
    become("no-purge").wrap(1, COVER)
    double.vault.slow = 2
    double.vault.delete(NAME)
    covers = VaultCovers(ARCHIVE, double.access(settle_seconds=2.0))
    assert covers.destroy(1).kind == "key-vault-scheduled"


def test_a_stranger_that_finds_nothing_destroys_nothing(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    for act in (lambda: covers.destroy(1), lambda: covers.unwrap(data)):
        double.service.faults = [404]
        with pytest.raises(KeyringError, match=r"refused \(Fault\)") as caught:
            act()
        assert "AUDIT_KEYRING_VAULT" in caught.value.hint
    assert NAME in double.vault.keys


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_told_apart(double: VaultDouble, become: Become, status: int) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    double.service.faults = [status]
    with pytest.raises(VaultAway, match="does not answer") as caught:
        covers.unwrap(data)
    assert caught.value.code == "AS-1103"
    assert bytes(covers.unwrap(data)) == COVER


def test_a_vault_that_is_away_is_said_to_be_and_comes_back(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    double.stop()
    for act in (lambda: covers.unwrap(data), lambda: covers.wrap(2, COVER),
                lambda: covers.destroy(1)):  # fmt: skip
        with pytest.raises(VaultAway, match="does not answer") as caught:
            act()
        assert "try again later" in caught.value.hint
    double.start()
    assert bytes(covers.unwrap(data)) == COVER


def test_an_attempt_that_fails_is_made_again(double: VaultDouble, become: Become) -> None:
    become("keeper").wrap(1, COVER)
    covers = VaultCovers(ARCHIVE, double.access(attempts=2))
    double.service.faults = [503]
    assert covers.destroy(1).kind == "key-vault-purged"


def test_a_token_goes_to_no_stranger(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    asked = len(double.asked("keeper"))
    double.service.challenge = "https://vault.example"
    with pytest.raises(KeyringError, match=r"as a key vault|refused"):
        covers.unwrap(data)
    assert len(double.asked("keeper")) <= asked + 1  # by the token it had, for the host it was for


def test_a_certificate_of_nobody_we_know_is_said(double: VaultDouble, become: Become) -> None:
    become("keeper")
    covers = VaultCovers(ARCHIVE, replace(double.access(), ca_file=None))
    with pytest.raises(VaultAway) as caught:
        covers.wrap(1, COVER)
    assert "AUDIT_AZURE_CA_FILE" in caught.value.hint


def test_tls_below_what_is_asked_for_is_refused(
    double: VaultDouble, become: Become, monkeypatch: pytest.MonkeyPatch
) -> None:
    covers = become("keeper")
    double.stop()
    double.start(most=ssl.TLSVersion.TLSv1_2)
    assert is_wrapped(covers.wrap(1, COVER))
    with pytest.raises(VaultAway):
        VaultCovers(ARCHIVE, double.access(require_tls13=True)).wrap(1, COVER)


def test_a_file_that_names_another_place_is_followed_nowhere(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    line, sealed = data.split(b"\n", 1)
    key = header_of(data).key.encode()
    asked = len(double.service.asked)
    for said, instead in [
        (key, b"https://evil.example/keys/" + key.rsplit(b"/keys/")[1]),
        (key, key.replace(NAME.encode(), key_name(ARCHIVE, 2).encode())),
        (key, key + b"/../../x"),
        (b'"epoch":1', b'"epoch":2'),
        (ARCHIVE.encode(), b"audit.example/other"),
    ]:
        assert said in line
        changed = line.replace(said, instead) + b"\n" + sealed
        for act in (covers.unwrap, lambda data: covers.destroy(1, data)):
            if act is not covers.unwrap and said == b'"epoch":1':
                continue  # the key is the right one, whatever the line says of its epoch
            with pytest.raises(KeyringError):
                act(changed)
    assert len(double.service.asked) == asked


def test_the_key_of_another_keyring_is_not_shared(double: VaultDouble, become: Become) -> None:
    covers = become("keeper")
    covers.wrap(1, COVER, fresh=True)
    with pytest.raises(KeyringError, match="already") as caught:
        covers.wrap(1, COVER, fresh=True)
    assert "vault of its own" in caught.value.hint


def test_the_name_of_what_was_destroyed_is_not_taken_again(
    double: VaultDouble, become: Become
) -> None:
    covers = become("no-purge")
    covers.wrap(1, COVER)
    covers.destroy(1)
    with pytest.raises(KeyringError, match="was destroyed"):
        covers.wrap(1, COVER)


def test_a_cover_of_before_the_vault_opens_and_goes_with_its_file(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    assert bytes(covers.unwrap(COVER)) == COVER
    assert covers.destroy(1, COVER).kind == "file-unlinked"
    assert double.service.asked == []


def test_a_key_that_was_switched_off_is_told_from_one_that_is_gone(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    double.vault.keys[NAME].enabled = False
    with pytest.raises(KeyringError, match=r"refused \(Forbidden\)"):
        covers.unwrap(data)


def test_what_the_vault_cannot_unwrap_again_is_no_cover(
    double: VaultDouble, become: Become
) -> None:
    covers = become("keeper")
    data = covers.wrap(1, COVER)
    double.vault.garbled = True
    with pytest.raises(KeyringError, match="does not unwrap what it has wrapped"):
        covers.wrap(2, COVER)
    with pytest.raises(KeyringError, match="wrapped under another key"):
        covers.unwrap(data)


def test_no_key_is_ever_backed_up(double: VaultDouble, become: Become) -> None:
    covers = become("owner")
    data = covers.wrap(1, COVER)
    covers.unwrap(data)
    covers.destroy(1, data)
    assert not [path for _, _, path in double.service.asked if "backup" in path]
