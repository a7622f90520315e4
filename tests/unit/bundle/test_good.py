"""Good bundles of a real archive: deterministic, complete, and every verifier says what is true."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts
from audit_stream.bundle.shipped import verify
from audit_stream.errors import FormatError
from tests.support import bundles
from tests.support.bundles import check, steps
from tests.support.numbers import NUMBERS

VERIFY = Path(verify.__file__)


def test_the_same_facts_give_the_same_bytes_in_any_order(facts: BundleFacts) -> None:
    once = build_bundle(facts)
    assert build_bundle(facts) == once
    assert build_bundle(replace(facts, records=facts.records[::-1])) == once


def test_a_common_zip_program_reads_it(facts: BundleFacts) -> None:
    with zipfile.ZipFile(BytesIO(build_bundle(facts))) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert names == sorted(names)
        assert {each.date_time for each in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_witnessed(facts: BundleFacts, tmp_path: Path) -> None:
    done = check(build_bundle(facts), tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], done["exit"], done["code"]) == ("WITNESSED", 0, 0)
    assert [step for step, state, _ in done["steps"] if state != "ok"] == [9, 10, 12]


def test_without_a_policy_it_says_that_the_bundle_vouches_for_itself(
    facts: BundleFacts, tmp_path: Path
) -> None:
    done = check(build_bundle(facts), tmp_path)
    assert (done["verdict"], done["code"]) == ("UNANCHORED", 10)
    assert {7, 11} <= {step for step, state, _ in done["steps"] if state == "not checked"}


def test_a_log_key_alone_anchors_nothing(facts: BundleFacts, tmp_path: Path) -> None:
    done = check(build_bundle(facts), tmp_path, "--key", str(bundles.LOG_SIGNER.key))
    assert done["verdict"] == "UNANCHORED"
    assert steps(done, "ok") >= {1, 2, 3, 4, 5, 6, 7, 8}


def test_the_unpacked_folder_checks_as_the_zip_does(facts: BundleFacts, tmp_path: Path) -> None:
    data, folder = build_bundle(facts), tmp_path / "unpacked"
    zipfile.ZipFile(BytesIO(data)).extractall(folder)
    done = check(folder, tmp_path, policy=bundles.POLICY)
    assert done["verdict"] == "WITNESSED"
    (folder / "extra.txt").write_text("x")
    assert check(folder, tmp_path, policy=bundles.POLICY)["verdict"] == "INVALID"


def test_packed_again_it_says_so(facts: BundleFacts, tmp_path: Path) -> None:
    again = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(build_bundle(facts))) as old,
        zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    done = check(again.getvalue(), tmp_path, policy=bundles.POLICY)
    assert done["verdict"] == "INVALID"
    assert "packed again" in done["steps"][0][2]


def test_without_disclosures_no_personal_value_is_anywhere(facts: BundleFacts) -> None:
    values = {value for each in facts.records for value in bundles.personal(each)}
    assert len(values) >= 4
    hidden = replace(facts, records=[replace(each, disclosures=()) for each in facts.records])
    with zipfile.ZipFile(BytesIO(build_bundle(hidden))) as opened:
        for name in opened.namelist():
            text = opened.read(name).decode()
            assert [value for value in values if value in text] == [], name
    with zipfile.ZipFile(BytesIO(build_bundle(facts))) as opened:
        report = opened.read("report.html").decode()
    assert all(value in report for value in values)


def test_one_disclosure_shows_one_field(facts: BundleFacts, tmp_path: Path) -> None:
    some = [replace(each, disclosures=each.disclosures[:1]) for each in facts.records]
    done = check(build_bundle(replace(facts, records=some)), tmp_path, policy=bundles.POLICY)
    assert done["verdict"] == "WITNESSED"


def test_facts_that_do_not_fit_are_refused(facts: BundleFacts) -> None:
    with pytest.raises(FormatError, match="needs a record"):
        build_bundle(replace(facts, records=[]))
    with pytest.raises(FormatError, match="each record once"):
        build_bundle(replace(facts, records=[*facts.records, facts.records[0]]))
    with pytest.raises(FormatError, match="cannot be the name"):
        build_bundle(replace(facts, anchors={"../x": b"x"}))


def test_the_verifier_needs_nothing_but_an_old_python() -> None:
    tree = ast.parse(VERIFY.read_text("utf-8"), feature_version=(3, 9))
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom)
                     else [alias.name for alias in node.names])
    }  # fmt: skip
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("number", NUMBERS)
def test_integers_within_2_to_the_53_are_read(number: str) -> None:
    text = f'{{"a":{number}}}'.encode()
    if NUMBERS[number]:
        assert verify.parse(text, "it") == {"a": int(number)}
    else:
        with pytest.raises((verify.Bad, ValueError)):
            verify.parse(text, "it")


@pytest.mark.parametrize("arguments", [[], ["--policy", "nowhere"], ["--key", "x"], ["--what"]])
def test_a_wrong_command_line_is_no_verdict(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(VERIFY), *arguments, *(["x"] if arguments else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("verify.py: ")


def test_openssl_alone_agrees(facts: BundleFacts, tmp_path: Path) -> None:
    zipfile.ZipFile(BytesIO(build_bundle(facts))).extractall(tmp_path)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "openssl.sh"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 1 + 4 + 3 + 2 + 2 + 1
    assert "FAILED" not in done.stdout
    note = tmp_path / "checkpoint.txt"
    note.write_text(note.read_text("utf-8").replace("\n19\n", "\n20\n"), "utf-8")
    assert run().stdout.splitlines()[-3] == "FAILED  checkpoint.txt"
