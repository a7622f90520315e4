"""`audit-stream retention` on an archive in files, as the people who run it; and what a gateway
says then."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli import retention_parts
from audit_stream.cli.main import run_command
from audit_stream.errors import KeyringError
from audit_stream.evidence.segment import decode
from audit_stream.keys.file import load_keyring, write_successor, write_view
from audit_stream.keys.lock import DISPOSING_FILE, keyring_lock
from audit_stream.retention.survey import Survey
from audit_stream.stores.disposal.file import FileDisposer
from tests.support import bundles
from tests.support.asking import serving
from tests.support.eventually import until
from tests.support.sample import EMAIL, MESSAGES, VOICE, Sample, make_sample

TAG = "COMPLIANCE_ARCHIVE_V1"
DAYS = 7
Run = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Twelve days of three topics, the last of them yesterday."""
    return asyncio.run(make_sample(tmp_path_factory.mktemp("sample"), days=12, flawed=False))


@pytest.fixture
def sample(made: Sample, tmp_path: Path) -> Sample:
    folder = tmp_path / "s"
    shutil.copytree(made.settings.archive_path.parent, folder)
    changed = {
        "archive": (folder / "archive").as_uri(), "keyring": folder / "keys" / "keyring.json",
        "subjects": (folder / "archive-subjects").as_uri(), "index_dir": folder / "index",
        "gateway_tokens": folder / "tokens.json", "answer_keys": folder / "answers",
        "journal_dir": folder / "journal",
    }  # fmt: skip
    return Sample(settings=made.settings.model_copy(update=changed), end=made.end)


@pytest.fixture
def run(sample: Sample, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    settings = sample.settings
    for name in ("archive", "archive_name", "keyring", "subjects", "index_dir"):
        monkeypatch.setenv(f"AUDIT_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("AUDIT_RETENTION", f"{TAG}={DAYS}d")

    def run(*words: str) -> tuple[int, Any]:
        code = run_command([*words, *([] if "export" in words else ["--json"])])
        out = capsys.readouterr().out
        return code, json.loads(out) if out.startswith("{") else None

    return run


def messages_of(sample: Sample) -> dict[str, list[str]]:
    """Times of each message's records, by its id."""
    store, found = sample.store, dict[str, list[str]]()
    for name in store.names_sync("segments/"):
        for line in decode(store.get_sync(name) or b"", name).record_lines():
            pub = json.loads(line)["pub"]
            found.setdefault(pub["message_uuid"], []).append(pub["ingestion_timestamp"])
    return found


def test_a_second_store_loses_nothing_before_it_has_what_is_kept_of_it(
    sample: Sample, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where copies come behind: cut off in between, the second store must verify alone."""
    first = Path(sample.settings.archive_path)
    second = Path(shutil.copytree(first, tmp_path / "second"))
    monkeypatch.setenv("AUDIT_ARCHIVE_SECONDARY", second.as_uri())
    _, filed = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    assert run("retention", "approve", filed["purge"]["id"], "--by", "officer-2")[0] == 0

    def segments(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in (folder / "segments").rglob("*.gz")}

    before, in_the_way = segments(second), second / "disposed"
    in_the_way.write_bytes(b"a file")
    assert run("retention", "run")[0] != 0
    assert segments(second) == segments(first) == before
    in_the_way.unlink()
    assert run("retention", "run")[0] == 0
    assert segments(second) == segments(first) < before
    assert run("verify", "--archive", second.as_uri())[0] == 0


def test_a_notary_logs_only_what_stands_on_both(
    sample: Sample, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where copies come behind: a log that is made anew copies all that it names."""
    first, second = Path(sample.settings.archive_path), tmp_path / "second"
    monkeypatch.setenv("AUDIT_ARCHIVE_SECONDARY", second.as_uri())
    monkeypatch.setenv("AUDIT_BROKER", "kafka://127.0.0.1:1")
    shutil.rmtree(first / "log")
    assert run_command(["notary", "--once"]) == 0
    for folder in ("segments", "streams", "log"):
        assert {str(each.relative_to(first)) for each in (first / folder).rglob("*.*")} == {
            str(each.relative_to(second)) for each in (second / folder).rglob("*.*")
        }


def test_two_people_dispose_of_what_expired_and_a_gateway_says_so(
    sample: Sample, run: Run, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    before = (now - timedelta(days=DAYS)).isoformat()
    messages = messages_of(sample)
    old = next(each for each, times in messages.items() if max(times) < before)
    new = next(each for each, times in messages.items() if min(times) > before)
    with serving(sample.settings) as gateway:
        assert gateway.get(gateway.token("*"), message_uuid=old).status_code == 200
    bundle = tmp_path / "old.zip"
    assert run("export", "--message", old, "-o", str(bundle))[0] == 0
    code, plan = run("retention", "purge", "--class", TAG)
    assert code == 0
    assert plan["purge"] is None
    assert {each["topic"] for each in plan["stretches"]} == {EMAIL, MESSAGES, VOICE}
    assert plan["segments"] == sum(each["segments"] for each in plan["stretches"]) > 10
    code, filed = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    purge = filed["purge"]["id"]
    assert run("retention", "approve", purge, "--by", "clerk-1")[0] == 1
    assert run("retention", "run") == (0, {"purges": [], "views": []})  # nobody has approved
    assert run("retention", "approve", purge, "--by", "officer-2")[0] == 0
    code, done = run("retention", "run")
    assert code == 0
    assert done["purges"][0] | {"years": []} == {
        "id": purge, "state": "done", "removed": plan["segments"], "owed": 0, "years": [],
        "blocked": {},
    }  # fmt: skip
    code, status = run("retention", "status")
    assert (code, status["owed"]) == (0, [])
    assert status["purges"][0]["approved_by"] == "officer-2"
    checked = bundles.check(bundle, tmp_path)  # made before, it needs nothing of the archive
    assert bundles.steps(checked, "FAILED") == set()
    assert len(bundles.steps(checked, "ok")) >= 7
    left = messages_of(sample)
    assert old not in left
    assert new in left
    assert run("retention", "purge", "--class", TAG)[0] == 1  # nothing more
    code, verdict = run("verify")
    assert (code, verdict["problems"]) == (0, [])
    assert verdict["disposed"]["segments"] == plan["segments"]
    assert run("verify", EMAIL)[0] == 0
    assert run("verify", f"{EMAIL}/1")[0] == 0
    with serving(sample.settings) as gateway:
        token = gateway.token("*")

        def asked() -> dict[str, Any]:
            """404 from the first, and once the register was read it says of which periods."""
            gone = gateway.get(token, message_uuid=old)
            assert gone.status_code == 404
            found: dict[str, Any] = gone.json()
            return found

        until(lambda: "disposed" in asked())
        [told] = asked()["disposed"]
        assert (told["disposal_id"], told["regulatory_tag"]) == (purge, TAG)
        assert told["first"] < told["last"] < before
        assert gateway.get(token, message_uuid=new).status_code == 200


def test_who_destroys_a_years_key_is_told_which_views_are_brought_up(
    sample: Sample, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The epoch rises, so processes with any other view stop, although nobody was erased."""
    keyring = sample.settings.keyring
    named, other = tmp_path / "worker" / "keyring.json", tmp_path / "gateway" / "keyring.json"
    for role in ("worker", "gateway"):
        write_view(load_keyring(keyring), keyring, role, tmp_path / role)
    monkeypatch.setenv("AUDIT_KEYRING_VIEWS", str(named))
    filing = ("retention", "purge", "--class", TAG)
    assert run(*filing)[1]["views"] == [str(named)]
    assert run_command([*filing, "--by", "clerk-1"]) == 0
    planned = " ".join(capsys.readouterr().out.split())
    assert f"raises the keyring's epoch, though nobody is erased. It brings up {named}." in planned
    assert "Every other view, and every Secret that one was copied into, is refused" in planned
    [purge] = run("retention", "status")[1]["purges"]
    run("retention", "approve", purge["id"], "--by", "officer-2")
    assert run_command(["retention", "run"]) == 0
    done = " ".join(capsys.readouterr().out.split())
    assert f"The keyring's epoch is 2 now. Brought up: {named}. Every other view" in done
    assert [load_keyring(each).keyring.epoch for each in (keyring, named, other)] == [2, 2, 1]
    assert run("retention", "run") == (0, {"purges": [], "views": []})


def test_where_no_view_is_named_all_are_to_be_replaced(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["retention", "purge", "--class", TAG]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "It brings up no view, for AUDIT_KEYRING_VIEWS names none here. Every other" in said


def test_an_index_forgets_and_a_new_one_never_knew(sample: Sample, run: Run) -> None:
    code, before = run("index", "rebuild")
    assert code == 0
    _, filed = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    run("retention", "approve", filed["purge"]["id"], "--by", "officer-2")
    assert run("retention", "run")[0] == 0
    code, again = run("index", "rebuild")
    assert (code, again["stopped"]) == (0, [])
    forgot = _rows(sample)
    code, fresh = run("index", "rebuild", "--fresh")
    assert (code, fresh["stopped"]) == (0, [])
    assert {key[:1] for key in forgot} >= {b"m", b"t", b"s"}
    known = {key for key in forgot if key[:1] in (b"m", b"t", b"c")}
    assert known == {key for key in _rows(sample) if key[:1] in (b"m", b"t", b"c")}
    assert before["records"] == again["records"] == fresh["records"]  # they count as they did


def _rows(sample: Sample) -> dict[bytes, bytes]:
    from audit_stream.index.database import ArchiveIndex
    from audit_stream.keys.file import load_keyring

    ring = load_keyring(sample.settings.keyring).keyring
    index = ArchiveIndex.open(
        sample.settings.index_dir, ring.archive, ring.index_key, read_only=True
    )
    try:
        return dict(index.rows())
    finally:
        index.close()


def test_what_is_wrong_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["retention", "purge", "--class", "NOBODYS"]) == 2
    assert f"one of {TAG}" in capsys.readouterr().err
    assert run_command(["retention", "approve", "dc-0000000000000000", "--by", "x"]) == 1
    assert "there is no purge" in capsys.readouterr().err
    assert run_command(["retention", "approve", "../epoch", "--by", "x"]) == 1
    assert "no purge's id" in capsys.readouterr().err


def test_a_class_in_a_folder_of_its_own_is_one_archive_with_the_rest(
    sample: Sample, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that know nothing of it verify, index and dispose over both."""
    main = sample.settings.archive_path
    calls = main.parent / "calls"
    for folder in ("segments", "streams"):
        (calls / folder).mkdir(parents=True)
        (main / folder / VOICE).rename(calls / folder / VOICE)
    assert run("verify")[0] == 1
    monkeypatch.setenv("AUDIT_ARCHIVES", f"{TAG}={calls.as_uri()}")
    # The records say the default class; so the others are given another one here.
    monkeypatch.setenv("AUDIT_REGULATORY_TAGS", f"{MESSAGES}=REST, {EMAIL}=REST")
    code, verdict = run("verify")
    assert (code, verdict["problems"]) == (0, [])
    assert {each["topic"] for each in verdict["partitions"]} == {EMAIL, MESSAGES, VOICE}
    assert run("index", "rebuild")[0] == 0
    code, plan = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    assert code == 0
    assert {each["topic"] for each in plan["stretches"]} == {VOICE}
    before = len(list(calls.rglob("*.gz")))
    run("retention", "approve", plan["purge"]["id"], "--by", "officer-2")
    assert run("retention", "run")[0] == 0
    assert len(list(calls.rglob("*.gz"))) == before - plan["segments"]
    assert not (calls / "disposed").exists()
    assert (main / "disposed" / VOICE).is_dir()
    code, verdict = run("verify")
    assert (code, verdict["problems"]) == (0, [])
    assert verdict["disposed"]["segments"] == plan["segments"]
    assert run("retention", "status")[1]["owed"] == []


def test_a_hold_blocks_what_it_touches(sample: Sample, run: Run) -> None:
    now = datetime.now(UTC)
    before = (now - timedelta(days=DAYS)).isoformat()
    old = next(each for each, times in messages_of(sample).items() if max(times) < before)
    _, plan = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    run("retention", "approve", plan["purge"]["id"], "--by", "officer-2")
    who = ("--matter", "M-1", "--custodian", "c-1", "--reason", "R-1", "--by", "counsel-1")
    code, hold = run("hold", "add", "--message", old, *who, "--approver", "counsel-2")
    assert code == 0
    code, again = run("retention", "purge", "--class", TAG)
    assert code == 0
    assert again["holds"] == [hold["hold_id"]]
    assert again["blocked"]["held"] == plan["segments"] - again["segments"] > 0
    code, done = run("retention", "run")
    assert code == 0
    assert done["purges"][0]["removed"] == again["segments"]
    assert old in messages_of(sample)
    assert run("verify")[1]["problems"] == []


def test_no_certificate_is_signed_with_a_key_that_was_replaced_meanwhile(
    sample: Sample, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look an archive over takes hours: the key can be revoked by then."""
    ring, looked = sample.settings.keyring, Survey.run

    async def replacing(self: Survey, *given: Any) -> Any:
        found = await looked(self, *given)
        for name in ("keyring.json", "public.txt"):
            shutil.copy(tmp_path / "next" / name, ring.with_name(name))
        return found

    _, plan = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    run("retention", "approve", plan["purge"]["id"], "--by", "officer-2")
    write_successor(load_keyring(ring), ring, tmp_path / "next")
    with monkeypatch.context() as patched:
        patched.setattr(Survey, "run", replacing)
        assert run("retention", "run")[0] == 2
    assert not list((Path(sample.settings.archive_path) / "disposals").glob("*"))
    code, done = run("retention", "run")
    assert (code, done["purges"][0]["removed"]) == (0, plan["segments"])


def test_while_an_archive_is_looked_over_the_keyrings_lock_is_free(
    sample: Sample, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes hours, and whoever declares a hold or erases a person waits 30 seconds. Two runs
    at a time would certify the same twice: the second one is told so."""
    free: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def noted(*given: Any, **named: Any) -> Any:
            with keyring_lock(sample.settings.keyring, wait=0.0):
                free.append(name)
            with pytest.raises(KeyringError), keyring_lock(
                sample.settings.keyring, wait=0.0, name=DISPOSING_FILE
            ):  # fmt: skip
                pass
            return await call(*given, **named)

        return noted

    _, plan = run("retention", "purge", "--class", TAG, "--by", "clerk-1")
    run("retention", "approve", plan["purge"]["id"], "--by", "officer-2")
    for place, name in (
        (retention_parts, "owed_by"), (Survey, "run"), (FileDisposer, "remove_expired"),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, noting(name, getattr(place, name)))
    code, done = run("retention", "run")
    assert code == 0
    assert done["purges"][0]["removed"] == plan["segments"]
    assert set(free) == {"owed_by", "run", "remove_expired"}
