"""The commands for an Azure archive's protection, over TLS, as the people who run them."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from azure.storage.blob import ImmutabilityPolicy

from audit_stream.cli.main import COMMANDS, main, run_command
from audit_stream.keys.file import create_keyring
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.open import open_store
from tests.support.blobs.cloud import SUBJECTS_ACCOUNT, Cloud
from tests.support.blobs.model import Kind
from tests.support.blobs.routes import ACCOUNT

pytestmark = pytest.mark.timeout(180)
LOCK = ("POST", "audit/immutabilityPolicies/default/lock")
SET = ("PUT", "audit/immutabilityPolicies/default")
EXTEND = ("POST", "audit/immutabilityPolicies/default/extend")
Run = Callable[..., int]


@pytest.fixture
def kind() -> Kind:
    return "clw"


@pytest.fixture
def cloud(tmp_path: Path, kind: Kind) -> Iterator[Cloud]:
    with Cloud(tmp_path, kind) as cloud:
        yield cloud


@pytest.fixture
def run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A command line as `who`, who types `typed`; its exit code."""

    def run(*words: str, who: str = "operator", typed: str = "", **extra: str) -> int:
        for name, value in (cloud.environment(who) | extra).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return run_command(list(words))

    return run


# check


def test_check_says_every_fact_and_the_level(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("archive", "check", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["good"], answer["assurance"]) == (True, "worm_locked")
    facts = {each["fact"]: each for each in answer["findings"]}
    assert facts["retention period"]["found"] == "2557 days"
    assert facts["subjects: versioning"]["verdict"] == "ok"
    assert not [each for each in answer["findings"] if each["verdict"] in ("bad", "unknown")]
    assert run("archive", "check") == 0
    assert "GOOD: worm_locked" in capsys.readouterr().out
    assert cloud.changes() == []


def test_check_names_what_is_missing(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.locked = False
    assert run("archive", "check") == 1
    said = capsys.readouterr().out
    assert "NOT GOOD: worm_unlocked, worm_locked is asked for" in said
    assert "worm_locked lacks: retention policy: Unlocked" in said
    assert "audit-stream archive lock --days 2557" in said
    assert run("archive", "check", AUDIT_ALLOW_ASSURANCE="worm_unlocked") == 0


def test_check_finds_what_would_bring_the_forgotten_back(run: Run, cloud: Cloud) -> None:
    cloud.double.management.facts(SUBJECTS_ACCOUNT).soft_delete_days = 7
    assert run("archive", "check", AUDIT_ALLOW_ASSURANCE="mutable") == 1


def test_check_cannot_judge_what_does_not_answer(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("archive", "check", AUDIT_ARCHIVE="azure://devaccount/nowhere") == 3
    assert "ContainerNotFound" in capsys.readouterr().err


def test_check_of_a_folder_says_that_it_is_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = {"AUDIT_ARCHIVE": (tmp_path / "a").as_uri(), "AUDIT_SUBJECTS": "file:///tmp/s"}
    folder["AUDIT_SUBJECTS"] = (tmp_path / "s").as_uri()
    assert run("archive", "check", **folder) == 1
    assert "NOT GOOD: mutable" in capsys.readouterr().out
    assert run("archive", "check", AUDIT_ALLOW_ASSURANCE="mutable", **folder) == 0


# lock


def test_lock_sets_locks_and_reads_back(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.days = None
    assert run("archive", "lock", "--days", "2557", typed="audit\n") == 0
    assert (cloud.archive.days, cloud.archive.locked) == (2557, True)
    assert cloud.changes() == [SET, LOCK]
    said = capsys.readouterr().out
    assert "will set the policy, unlocked: 2557 days" in said
    assert "for 2557 days from its creation" in said
    assert "read back: Locked, 2557 days" in said


def test_lock_keeps_a_policy_that_fits_and_mends_one_that_lets_append(
    run: Run, cloud: Cloud
) -> None:
    cloud.archive.locked = False
    assert run("archive", "lock", "--days", "2557", typed="audit\n") == 0
    assert cloud.changes() == [LOCK]
    cloud.archive.locked, cloud.archive.append_all = False, True
    assert run("archive", "lock", "--days", "2557", typed="audit\n") == 0
    assert not cloud.archive.append_all
    assert cloud.archive.locked


def test_lock_extends_a_locked_policy_as_often_as_azure_allows(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 6):
        assert run("archive", "lock", "--days", f"{3000 + number}", typed="audit\n") == 0
    assert "can be extended 0 more times" in capsys.readouterr().out
    assert cloud.changes() == [EXTEND] * 5
    assert run("archive", "lock", "--days", "4000", typed="audit\n") == 2
    assert "5 times" in capsys.readouterr().err
    assert cloud.archive.days == 3005


def test_lock_of_what_is_locked_does_nothing(run: Run, cloud: Cloud) -> None:
    assert run("archive", "lock", "--days", "2557") == 0
    assert cloud.changes() == []


@pytest.mark.parametrize("locked", [True, False])
def test_lock_never_shortens(
    run: Run, cloud: Cloud, locked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.locked = locked
    assert run("archive", "lock", "--days", "2556", typed="audit\n") == 2
    assert "would shorten it" in capsys.readouterr().err
    assert cloud.changes() == []


@pytest.mark.parametrize("typed", ["", "yes\n", "audit-\n", "AUDIT\n"])
def test_lock_takes_no_other_word_for_the_name(run: Run, cloud: Cloud, typed: str) -> None:
    cloud.archive.locked = False
    assert run("archive", "lock", "--days", "2557", typed=typed) == 1
    assert cloud.changes() == []


def test_lock_leaves_alone_a_policy_that_changed_meanwhile(
    run: Run, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody sets one day between the plan and the name."""
    cloud.archive.locked = False

    class Typing(io.StringIO):
        def readline(self, *_: Any) -> str:
            cloud.archive.days, cloud.archive.changes = 1, cloud.archive.changes + 1
            return "audit\n"

    for name, value in cloud.environment("operator").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", Typing())
    assert run_command(["archive", "lock", "--days", "2557"]) == 1
    assert "PreconditionFailed" in capsys.readouterr().err
    assert not cloud.archive.locked


@pytest.mark.parametrize(("who", "code"), [("auditor", 1), ("nobody", 3)])
def test_lock_needs_a_right_that_workers_lack(run: Run, cloud: Cloud, who: str, code: int) -> None:
    cloud.archive.locked = False
    assert run("archive", "lock", "--days", "2557", who=who, typed="audit\n") == code
    assert not cloud.archive.locked


def test_an_answer_that_is_lost_is_no_lock(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.locked = False
    cloud.double.faults.inject("drop_after", method="POST", path="/lock")
    assert run("archive", "lock", "--days", "2557", typed="audit\n") == 1
    assert "archive check" in capsys.readouterr().err
    assert run("archive", "lock", "--days", "2557") == 0  # it was


@pytest.mark.parametrize("kind", ["vlw"])
def test_lock_locks_the_default_policy_of_versions(run: Run, cloud: Cloud) -> None:
    cloud.archive.days = None
    assert run("archive", "lock", "--days", "2557", typed="audit\n") == 0
    assert (cloud.archive.days, cloud.archive.locked, cloud.archive.kind) == (2557, True, "vlw")


@pytest.mark.parametrize("days", ["0", "146001"])
def test_lock_knows_azures_limits(run: Run, days: str) -> None:
    assert run("archive", "lock", "--days", days) == 2


def test_only_azure_has_a_policy_to_lock(run: Run, tmp_path: Path) -> None:
    folder = (tmp_path / "a").as_uri()
    extra = {"AUDIT_ARCHIVE": folder, "AUDIT_SUBJECTS": f"{folder}-s"}
    assert run("archive", "lock", "--days", "1", **extra) == 2


def test_people_may_use_the_login_of_the_azure_cli(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    """`az` is asked for a token of the right audience."""
    token = cloud.double.service.access.for_management("token-of-operator")
    script = tmp_path / "bin" / "az"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in *storage.azure.com*) token=token-of-operator;; *127.0.0.1*) '
        f"token={token};; esac\n"
        'echo "{\\"accessToken\\": \\"$token\\", \\"expiresOn\\": \\"2099-01-01 00:00:00.000000\\",'
        ' \\"expires_on\\": 4070908800}"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    extra = {"AUDIT_AZURE_CLI_LOGIN": "1", "PATH": f"{script.parent}:/usr/bin:/bin"}
    assert run("archive", "check", who="nobody", **extra) == 0


# No command weakens what is locked


def leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every command under `command`."""
    context = click.Context(command)
    if not hasattr(command, "list_commands"):
        yield words
        return
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*words, name))


ARGUMENTS = {
    ("archive", "lock"): [["--days", "1"], ["--days", "2557"], ["--days", "3000"]],
    ("archive", "compare"): [["azure://devaccount/audit", "azure://devaccount/audit"]],
    ("doctor",): [["--azure", "--yes"]],
    ("broker",): [["--help"]],  # serves until it is stopped; it knows no archive
    ("demo",): [["--help"]],  # an archive of its own, and a broker
    ("gateway",): [["--help"]],  # serves until it is stopped; it opens the archive to read
    ("notary",): [["--once"]],
}


@pytest.mark.parametrize("words", [*leaves(main, ())], ids=" ".join)
def test_no_command_weakens_a_locked_policy(
    run: Run, cloud: Cloud, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Run by one who may do everything: the most that goes out is the extension that was typed."""
    assert {words[0] for words in leaves(main, ())} == set(COMMANDS)
    keyring = tmp_path / "keys" / "keyring.json"
    create_keyring(keyring, "audit-stream")
    for more in ARGUMENTS.get(words, [[]]):
        run(
            *words, *more, typed="audit\n" * 3, AUDIT_KEYRING=str(keyring),
            AUDIT_BROKER="kafka://127.0.0.1:1", AUDIT_WEB_PORT="0", AUDIT_BROKER_WAIT_SECONDS="0",
        )  # fmt: skip
    assert cloud.archive.locked
    ours = [each for each in cloud.changes() if each[1].startswith("audit/")]
    assert ours == ([EXTEND] if words == ("archive", "lock") else [])
    assert cloud.archive.days == (3000 if words == ("archive", "lock") else 2557)
    taken_away = [s for s in cloud.double.requests if s.method == "DELETE" and s.status < 300]
    assert [s.path for s in taken_away if "audit-doctor-" not in s.path] == []


# doctor


def doctor(
    run: Run, capsys: pytest.CaptureFixture[str], *more: str, code: int = 0, **options: Any
) -> dict[str, Any]:
    assert run("doctor", "--azure", "--yes", "--json", *more, **options) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.fixture
def versioning(cloud: Cloud) -> None:
    cloud.double.management.facts(ACCOUNT).versioning = True


@pytest.mark.usefixtures("versioning")
def test_doctor_asks_all_and_leaves_nothing(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(run, capsys, code=3)
    found = {each["key"]: each for each in answer["answers"]}
    assert "".join(found) == "abcdefghi"
    assert found["a"]["answer"] == "409 BlobAlreadyExists"
    assert found["b"]["answer"] == "403 UnauthorizedBlobOverwrite"
    assert found["c"]["answer"] == "400 UnsupportedHeader"
    assert found["f"]["answer"] == "TLSv1.3"
    assert found["h"]["answer"] == "tags accepted, tier accepted"
    assert found["e"]["answer"] is None
    assert "--lock-version" in found["e"]["why"]
    assert all(each["agrees"] for key, each in found.items() if key != "e")
    assert list(cloud.double.service.containers) == ["audit"]
    assert answer["left"] == []


@pytest.mark.usefixtures("versioning")
def test_doctor_says_when_an_account_is_otherwise(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.double.service.conflict = "SomethingNew"  # type: ignore[assignment]
    answer = doctor(run, capsys, code=1)
    found = {each["key"]: each for each in answer["answers"]}
    assert (found["a"]["answer"], found["a"]["agrees"]) == ("409 SomethingNew", False)


def test_doctor_says_what_it_could_not_ask(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without versioning there is no version-level container."""
    found = {each["key"]: each for each in doctor(run, capsys, code=3)["answers"]}
    assert found["d"]["answer"] is None
    assert "VersioningNotEnabled" in found["d"]["why"]
    assert found["a"]["agrees"]
    cloud.double.faults.inject("busy", method="POST", path="devaccount", times=None)
    found = {each["key"]: each for each in doctor(run, capsys, code=3)["answers"]}
    assert found["b"]["answer"] is None
    assert "ServerBusy" in found["b"]["why"]


@pytest.mark.usefixtures("versioning")
def test_doctor_locks_a_version_only_when_told(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_stream.stores.azure_scratch._REMOVE_SECONDS", 1)
    answer = doctor(run, capsys, "--lock-version", code=1)
    found = {each["key"]: each for each in answer["answers"]}
    assert found["e"]["answer"] == "409 BlobImmutableDueToPolicy"
    assert [each for each in answer["left"] if "-v" in each]  # the double's minute does not pass


def test_doctor_asks_first(run: Run, cloud: Cloud) -> None:
    assert run("doctor", "--azure", typed="n\n") == 1
    assert run("doctor") == 2
    assert cloud.changes() == []


def test_doctor_who_may_not_make_a_container_knows_nothing(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = doctor(run, capsys, code=3, who="auditor")
    assert {each["answer"] for each in answer["answers"]} == {None}
    assert list(cloud.double.service.containers) == ["audit"]


# retain


async def _stored(cloud: Cloud, *names: str) -> None:
    from audit_stream.app.places import archive_store

    store = archive_store(cloud.settings())
    for name in names:
        await store.put_if_absent(name, b"x", {})
    await store.close()


async def _put_in_front(cloud: Cloud, name: str, days: int) -> None:
    """A later version under a name, kept for so long: it does not keep the object."""
    store = open_store(f"azure://{ACCOUNT}/audit", cloud.settings().store_access())
    assert isinstance(store, AzureStore)
    until = datetime.fromtimestamp(cloud.double.service.clock.now + days * 86_400, UTC)
    await store._container().upload_blob(
        name, b"other", overwrite=True,
        immutability_policy=ImmutabilityPolicy(expiry_time=until, policy_mode="locked"),
    )  # fmt: skip
    await store.close()


def test_retain_extends_the_containers_policy_and_reads_back(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("archive", "retain", "--for", "10y") == 0
    assert "would extend it to 3653 days" in capsys.readouterr().out
    assert cloud.changes() == []
    for _ in range(2):  # again: it is so
        assert run("archive", "retain", "--for", "10y", "--run") == 0
        assert "read back: 3653 days" in capsys.readouterr().out
    assert cloud.changes() == [EXTEND]
    assert run("archive", "retain", "--for", "7y", "--run") == 0  # never shortens
    assert (cloud.archive.days, cloud.archive.locked) == (3653, True)


def test_retain_is_refused_where_there_is_nothing_to_extend(
    run: Run, cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.locked = False
    assert run("archive", "retain", "--for", "10y", "--run") == 2
    assert "no locked policy" in capsys.readouterr().err
    folder = {
        "AUDIT_ARCHIVE": (tmp_path / "a").as_uri(),
        "AUDIT_SUBJECTS": (tmp_path / "s").as_uri(),
    }
    assert run("archive", "retain", "--for", "10y", "--run", **folder) == 2
    assert run("archive", "retain", "--for", "ten years") == 2
    tags = {"AUDIT_REGULATORY_TAGS": "outbound_voice_status_update=CALLS"}
    cloud.archive.locked = True
    assert run("archive", "retain", "--for", "10y", "--class", "CALLS", **tags) == 2
    assert "CALLS alone cannot be retained" in capsys.readouterr().err
    assert cloud.changes() == []


def test_retain_knows_that_azure_extends_five_times(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.archive.extended = 5
    assert run("archive", "retain", "--for", "10y", "--run") == 2
    assert "5 times" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["vlw"])
def test_retain_extends_each_object_of_a_class(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    cloud.become(monkeypatch, "operator")
    voice = "segments/outbound_voice_status_update/00001/00000/00000000000000000000.ndjson.gz"
    asyncio.run(_stored(cloud, voice, "log/00000000000000000000.json"))
    asyncio.run(_put_in_front(cloud, voice, days=5000))
    tags = {"AUDIT_REGULATORY_TAGS": "outbound_voice_status_update=CALLS"}
    words = ("archive", "retain", "--for", "10y", "--class", "CALLS", "--json")
    assert run(*words, **tags) == 0
    assert json.loads(capsys.readouterr().out)["shorter"] == 1
    for _ in range(2):
        assert run(*words, "--run", **tags) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["objects"], answer["shorter"]) == (1, 0)
    first = {name: blob.versions()[0] for name, blob in cloud.archive.blobs.items()}
    days = {
        name: (version.policy.until - version.created) // 86_400
        for name, version in first.items()
        if version.policy is not None
    }
    assert days == {voice: 3653, "log/00000000000000000000.json": 2557}


# a class's container


def test_a_classs_container_is_held_against_its_classs_time(
    run: Run, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    own = cloud.double.service.add_container("calls", "clw", days=2557)
    env = {
        "AUDIT_REGULATORY_TAGS": "outbound_voice_status_update=CALLS",
        "AUDIT_RETENTION": "CALLS=10y", "AUDIT_ARCHIVES": f"CALLS=azure://{ACCOUNT}/calls",
    }  # fmt: skip
    assert run("archive", "check", "--json", **env) == 1
    answer = json.loads(capsys.readouterr().out)
    facts = {each["fact"]: each for each in answer["findings"]}
    assert facts["retention period"]["verdict"] == "ok"
    assert facts["CALLS: retention period"]["verdict"] == "bad"
    assert answer["assurance"] == "worm_unlocked"
    assert run("archive", "retain", "--for", "10y", "--class", "CALLS", "--run", **env) == 0
    assert (own.days, cloud.archive.days) == (3653, 2557)
    assert run("archive", "check", "--json", **env) == 0
    own.locked, own.days = False, 3653
    assert run("archive", "lock", "--days", "3653", "--class", "CALLS", typed="calls\n", **env) == 0
    assert own.locked
    assert run("archive", "lock", "--days", "3653", "--class", "OTHER", **env) == 2
