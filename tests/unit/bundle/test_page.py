"""verify.html in a real Chromium, opened as a file: the same steps and verdicts as verify.py."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from re import DOTALL, search
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts
from audit_stream.bundle.package import pack
from audit_stream.bundle.shipped import verify
from audit_stream.evidence.checkpoint import Checkpoint, encode_hash
from tests.support import bundles, tampering
from tests.support.answers import answered, jwks, with_answer
from tests.support.browser import chromium
from tests.support.numbers import NUMBERS
from tests.support.policies import NO_POLICIES, POLICIES
from tests.support.strangers import FORGED, strangers

PAGE = Path(verify.__file__).with_name("verify.html")
VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof"
_JUDGE = """async ([text, policy, files]) => {
    const bytes = each => Uint8Array.from(atob(each), letter => letter.charCodeAt(0));
    const brought = Object.entries(files).map(([name, each]) => [name, bytes(each)]);
    const verifier = await judge(bytes(text), {policy, ...Object.fromEntries(brought)});
    return [verifier.verdict, verifier.results.map(([step, state]) => `${step} ${state}`)];
}"""
_POLICY = "text => { try { new Policy(text); return 'one'; } catch { return 'none'; } }"
_ED25519 = "each => ed25519(unhex(each.public), unhex(each.msg), unhex(each.sig))"
_ES256 = """each => {
    const point = unhex(each.public);
    return es256(big(point.slice(1, 33)), big(point.slice(33)), unhex(each.msg), unhex(each.sig));
}"""


@pytest.fixture(scope="module")
def browser(facts: BundleFacts, path: list[bytes]) -> Iterator[Browser]:
    """After the archive is made: Playwright's loop leaves no room for another."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The page, which must neither fail nor ask for anything outside itself."""
    opened = browser.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(PAGE.as_uri())
    yield opened
    assert wrong == []
    assert asked == [PAGE.as_uri()]
    opened.close()


@pytest.fixture(scope="module")
def good(facts: BundleFacts) -> bytes:
    return build_bundle(facts)


def judged(
    page: Page, data: bytes, policy: str = bundles.POLICY, **files: bytes
) -> tuple[str, set[str]]:
    brought = {name: b64encode(each).decode() for name, each in files.items()}
    verdict, states = page.evaluate(_JUDGE, [b64encode(data).decode(), policy, brought])
    return verdict, set(states)


def agreed(page: Page, data: bytes, policy: str, **files: bytes) -> str:
    """The verdict that the page and verify.py both give, by the same states of the same steps."""
    program = tampering.judged(data, policy, **files)
    states = {f"{step} {state}" for step, state, _ in program.results}
    assert judged(page, data, policy, **files) == (program.verdict, states)
    return program.verdict


def same(page: Page, found: Iterator[tampering.Tampered]) -> list[str]:
    """Labels of what the page and verify.py judge differently."""
    differing = []
    for each in found:
        program = tampering.judged(each.data, bundles.POLICY)
        states = {f"{step} {state}" for step, state, _ in program.results}
        if judged(page, each.data) != (program.verdict, states):
            differing.append(f"{each.label}: {program.verdict}")
    return differing


def test_the_page_allows_its_own_script_and_style_and_nothing_else() -> None:
    text = PAGE.read_text("utf-8")
    policy = search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    sources = dict(part.split(" ", 1) for part in policy[1].split("; "))
    assert sources.keys() == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    for tag in ("script", "style"):
        body = search(f"<{tag}>(.*?)</{tag}>", text, DOTALL)
        assert body
        hashed = b64encode(sha256(body[1].encode()).digest()).decode()
        assert sources.pop(f"{tag}-src") == f"'sha256-{hashed}'", tag
    assert set(sources.values()) == {"'none'"}


@pytest.mark.slow
def test_good_and_clumsily_changed_bundles_get_the_verdict_of_verify_py(
    page: Page, good: bytes
) -> None:
    assert judged(page, good)[0] == "WITNESSED"
    assert judged(page, good, "")[0] == "UNANCHORED"
    assert same(page, tampering.clumsy(good, random.Random(7), flips=30)) == []


@pytest.mark.slow
def test_knowingly_changed_bundles_get_the_verdict_of_verify_py(page: Page, good: bytes) -> None:
    assert same(page, tampering.knowing(good, random.Random(8), flips=2)) == []


def test_a_stranger_s_bundle_shows_nothing(page: Page, good: bytes, tmp_path: Path) -> None:
    page.fill("#policy", bundles.POLICY)
    for each in strangers(good):
        assert agreed(page, each.data, bundles.POLICY) == "INVALID", each.label
        (tmp_path / "evidence.zip").write_bytes(each.data)
        page.set_input_files("#bundle", tmp_path / "evidence.zip")
        page.evaluate("at('verdict').textContent = ''")  # of the one before
        page.click("button")
        expect(page.locator("#verdict")).to_have_text("INVALID")
        said = page.inner_text("#result")
        assert "Proven" not in said, each.label
        assert FORGED not in said, each.label


def test_a_false_line_beside_a_good_one(page: Page, facts: BundleFacts) -> None:
    false = facts.checkpoint + bundles.cosignature("another text\n").line().encode()
    for name in ("a.note", "z.note"):
        both = replace(facts, anchors={**facts.anchors, name: false})
        assert agreed(page, build_bundle(both), bundles.POLICY) == "WITNESSED"


def test_policies_are_read_as_verify_py_reads_them(page: Page, good: bytes) -> None:
    found = {policy: agreed(page, good, policy) for policy in POLICIES}
    assert found == POLICIES
    for policy in NO_POLICIES:
        assert page.evaluate(_POLICY, policy) == "none", policy


def test_kept_checkpoints_get_the_verdict_of_verify_py(
    page: Page, archive: bundles.Archive, path: list[bytes], good: bytes
) -> None:
    old, _, head = archive.heads
    proof = "".join(f"{encode_hash(each)}\n" for each in path).encode()
    keys = bundles.POLICY
    assert agreed(page, good, keys, kept=head.note.encode()) == "WITNESSED"
    assert agreed(page, good, keys, kept=old.note.encode()) == "UNANCHORED"
    assert agreed(page, good, keys, kept=old.note.encode(), proof=proof) == "WITNESSED"
    for size in (head.size, old.size):
        assert agreed(page, good, keys, kept=bundles.forged(size), proof=proof) == "DIVERGED"
    empty = Checkpoint(origin=bundles.NAME, size=0, root=sha256(b"").digest())
    kept = bundles.LOG_SIGNER.sign(empty.text()).encode()
    assert agreed(page, good, keys, kept=kept, proof=proof) == "WITNESSED"
    assert agreed(page, good, keys, kept=bundles.forged(0), proof=proof) == "DIVERGED"


def test_signed_answers_get_the_verdict_of_verify_py(page: Page, facts: BundleFacts) -> None:
    answer, keys = answered(facts), {"answers": jwks()}
    assert agreed(page, with_answer(facts, answer), bundles.POLICY, **keys) == "WITNESSED"
    assert agreed(page, with_answer(facts, answer), bundles.POLICY) == "WITNESSED"
    lie = answer | {"audit_record": answer["audit_record"] | {"delivery_status": "FAILED"}}
    assert agreed(page, with_answer(facts, lie), bundles.POLICY, **keys) == "INVALID"
    assert agreed(page, with_answer(facts, answer, alg="none"), bundles.POLICY) == "INVALID"


@pytest.mark.parametrize("hidden", [False, True], ids=["with WebCrypto", "without WebCrypto"])
@pytest.mark.parametrize(("name", "call"), [("ed25519", _ED25519), ("es256", _ES256)])
def test_signatures_are_judged_right(page: Page, name: str, call: str, hidden: bool) -> None:
    if hidden:
        page.evaluate("Object.defineProperty(crypto, 'subtle', {value: undefined})")
    assert page.evaluate("crypto.subtle === undefined") is hidden
    lines = (VECTORS / f"{name}.jsonl").read_text("utf-8").splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    answers = page.evaluate(f"all => Promise.all(all.map({call}))", found)
    wrong = [each["tcId"] for each, answer in zip(found, answers, strict=True)
             if answer is not (each["result"] == "valid")]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 111, 112, 127, 128, 1000])
def test_hashes(page: Page, size: int) -> None:
    data = random.Random(size).randbytes(size)
    found = page.evaluate(f"text => [hex(sha256(unhex(text))), {size}]", data.hex())
    assert found[0] == sha256(data).hexdigest()


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_read_as_verify_py_reads_them(page: Page, number: str) -> None:
    read = "text => { try { return parse(utf8(text), 'it').a; } catch { return 'none'; } }"
    said = int(number) if NUMBERS[number] else "none"
    assert page.evaluate(read, f'{{"a":{number}}}') == said


def test_a_zip_of_very_many_files_is_read(page: Page) -> None:
    files = {f"{number}": b"" for number in range(65_000)}
    data = b64encode(pack(files)).decode()
    read = "text => unpack(Uint8Array.from(atob(text), each => each.charCodeAt(0))).size"
    assert page.evaluate(read, data) == len(files)


def test_a_person_with_a_keyboard_alone_checks_a_bundle(
    page: Page, good: bytes, tmp_path: Path
) -> None:
    # Asked for early: it takes a moment until the browser hands its file choosers over.
    page.on("filechooser", lambda _: None)
    page.set_viewport_size({"width": 320, "height": 640})
    (tmp_path / "evidence.zip").write_bytes(good)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "bundle"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(tmp_path / "evidence.zip")
    page.keyboard.press("Tab")
    page.keyboard.insert_text(bundles.POLICY)
    while page.evaluate("document.activeElement.type") != "submit":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_have_text("WITNESSED")
    expect(page.locator("#result")).to_be_focused()
    assert page.locator("#steps tbody tr").count() == len(verify.STEPS)
    assert "READ" in page.inner_text("#records")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_what_is_shown_is_the_last_bundle_s_alone(page: Page, good: bytes, tmp_path: Path) -> None:
    (tmp_path / "good.zip").write_bytes(good)
    (tmp_path / "bad.zip").write_bytes(good[:-1])
    for name, verdict, rows in (("good", "UNANCHORED", 4), ("bad", "INVALID", 0)):
        page.set_input_files("#bundle", tmp_path / f"{name}.zip")
        page.click("button")
        expect(page.locator("#verdict")).to_have_text(verdict)
        assert page.locator("#records tbody tr").count() == rows
    page.fill("#policy", "log nonsense")
    page.click("button")
    expect(page.locator("#verdict")).to_have_text("Not checked")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page: Page, scheme: Any, good: bytes,
                                            tmp_path: Path) -> None:  # fmt: skip
    page.emulate_media(color_scheme=scheme)
    (tmp_path / "good.zip").write_bytes(good)
    page.set_input_files("#bundle", tmp_path / "good.zip")
    page.click("button")
    expect(page.locator("#verdict")).to_have_text("UNANCHORED")
    for selector in ("body", "#verdict", ".ok", ".unsure", "h1", ".hint"):
        assert page.evaluate(_CONTRAST, selector) >= 4.5, selector


_CONTRAST = """selector => {
    const context = document.createElement("canvas").getContext("2d");
    const luminance = color => {
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
            .map(value => value / 255)
            .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    document.body.style.backgroundColor = "Canvas";
    const text = getComputedStyle(document.querySelector(selector)).color;
    const ground = getComputedStyle(document.body).backgroundColor;
    const [low, high] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""
