"""Sessions: how they begin, who they stand for, and everything that ends them."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.requests import Request
from starlette.responses import Response

from audit_stream.gateway.auth import Door, JwtRules
from audit_stream.gateway.pages import sessions as module
from audit_stream.gateway.pages.forms import Cookie, check_from_here
from audit_stream.gateway.pages.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.tokens import TokenFile

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"})


class Scene:
    """A door, tokens in a file, and two clocks that the test moves together."""

    def __init__(self, folder: Path, rate: float = 10_000) -> None:
        self.now = 0.0
        self.began = time.time()
        self.file = TokenFile(folder / "tokens.json")
        keys: Any = SimpleNamespace(now=lambda: KeySet([KEY]), missed=lambda: None)
        rules = JwtRules(keys=keys, issuer="https://i", audience="a")
        self.door = Door(self.file, rules, rate, wall=lambda: self.began + self.now,
                         clock=lambda: self.now)  # fmt: skip
        self.sessions = Sessions(self.door, lambda: self.now)

    def token(self, *scopes: str, expires: int | None = None) -> tuple[str, str]:
        stored, token = self.file.create(("t",), scopes or ("audit:read",), expires)
        return stored.id, token

    def jwt(self, seconds: int) -> str:
        claims = {"iss": "https://i", "aud": "a", "sub": "u1", "exp": int(self.began) + seconds,
                  "scope": "audit:read", "tenants": ["t"]}  # fmt: skip
        return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY)

    def is_over(self, name: str) -> bool:
        try:
            self.sessions.find(name)
        except Problem as problem:
            return problem.status == 401
        return False


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_it_ends_without_use_and_after_a_day_s_work(scene: Scene) -> None:
    name, _ = scene.sessions.begin(scene.token()[1], None)
    while scene.now < LONGEST_SECONDS - IDLE_SECONDS:
        scene.now += IDLE_SECONDS - 1
        assert not scene.is_over(name)
    scene.now = LONGEST_SECONDS
    assert scene.is_over(name)
    name, _ = scene.sessions.begin(scene.token()[1], None)
    scene.now += IDLE_SECONDS
    assert scene.is_over(name)
    assert scene.is_over(name)  # forgotten, and not there again


def test_it_ends_with_its_token(scene: Scene) -> None:
    token_id, token = scene.token()
    name, _ = scene.sessions.begin(token, None)
    assert not scene.is_over(name)
    scene.file.revoke(token_id)
    assert scene.is_over(name)
    with pytest.raises(Problem, match="valid bearer token"):
        scene.sessions.begin(token, None)
    expiring, _ = scene.sessions.begin(scene.token(expires=int(scene.began) + 60)[1], None)
    assert not scene.is_over(expiring)
    scene.now += 61
    assert scene.is_over(expiring)


def test_it_never_outlives_its_jwt(scene: Scene) -> None:
    name, session = scene.sessions.begin(scene.jwt(120), None)
    assert session.caller.id == "jwt:u1"
    scene.now = 118
    assert not scene.is_over(name)
    scene.now = 120
    assert scene.is_over(name)


def test_a_changed_token_changes_what_a_session_may(scene: Scene) -> None:
    token_id, token = scene.token("audit:read", "audit:export")
    name, _ = scene.sessions.begin(token, None)
    path = scene.file._path
    path.write_bytes(path.read_bytes().replace(b"audit:export", b"audit:hold"))
    caller = scene.sessions.find(name).caller
    assert (caller.id, caller.scopes) == (token_id, ("audit:read", "audit:hold"))


def test_ids_are_new_random_and_not_kept(scene: Scene) -> None:
    token = scene.token()[1]
    first, session = scene.sessions.begin(token, None)
    second, other = scene.sessions.begin(token, first)
    assert scene.is_over(first)  # the browser's old session ends
    assert len({first, second, session.csrf, other.csrf}) == 4
    assert min(map(len, (first, second, session.csrf))) >= 43  # 256 bits
    kept = repr(scene.sessions.__dict__) + repr(session)
    assert all(each not in kept for each in (token, second, session.csrf, other.csrf))
    for unknown in (None, "", "x", second[:-1], "\ud800"):
        with pytest.raises(Problem, match="sign in again"):
            scene.sessions.find(unknown)


def test_the_rate_of_the_token_holds(tmp_path: Path) -> None:
    scene = Scene(tmp_path, rate=1)
    name, _ = scene.sessions.begin(scene.token()[1], None)
    scene.sessions.find(name)
    with pytest.raises(Problem) as caught:
        scene.sessions.find(name)
    assert caught.value.status == 429
    scene.now += 2
    assert not scene.is_over(name)  # it is still there


def test_nobody_takes_all_the_room(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OF_ONE", 3)
    monkeypatch.setattr(module, "_MOST", 5)
    others = [scene.sessions.begin(scene.token()[1], None)[0] for _ in range(2)]
    token = scene.token()[1]
    own = [scene.sessions.begin(token, None)[0] for _ in range(6)]
    assert [scene.is_over(each) for each in own] == [True] * 3 + [False] * 3
    assert not any(map(scene.is_over, others))
    with pytest.raises(Problem, match="too many"):
        scene.sessions.begin(scene.token()[1], None)
    scene.now += IDLE_SECONDS
    scene.sessions.begin(scene.token()[1], None)  # those that are over make room


def request(url: str, **headers: str) -> Request:
    scheme, _, host = url.partition("://")
    pairs = [(b"host", host.encode())]
    pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({
        "type": "http", "scheme": scheme, "method": "POST", "path": "/", "query_string": b"",
        "headers": pairs, "server": ("x", 1),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://audit.example", True), ("https://127.0.0.1:8443", True),
        ("http://audit.example", True), ("http://10.0.0.1:8443", True),
        ("http://127.0.0.1:8443", False), ("http://localhost:1", False),
        ("http://[::1", True), ("http://", True), ("http://127.0.0.1.audit.example", True),
        ("http://[::1]:8443", False),
    ],
)  # fmt: skip
def test_cookies_need_tls_but_on_the_machine_itself(url: str, secure: bool) -> None:
    answer = Response()
    Cookie("audit-session").put(request(url), answer, "v")
    name, *parts = answer.headers["set-cookie"].split("; ")
    assert name == ("__Host-audit-session=v" if secure else "audit-session=v")
    assert set(parts) == {"HttpOnly", "Path=/", "SameSite=strict", *(["Secure"] if secure else [])}
    assert Cookie("audit-session").of(request(url, cookie=name)) == "v"
    other = "audit-session=v" if secure else "__Host-audit-session=v"
    assert Cookie("audit-session").of(request(url, cookie=other)) is None


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec_fetch_site": "same-origin"}, True), ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False), ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": ""}, False), ({}, False), ({"origin": "null"}, False),
        ({"origin": "https://audit.example"}, True), ({"origin": "https://evil.example"}, False),
        ({"origin": "https://audit.example.evil.example"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://audit.example"}, False),
    ],
)  # fmt: skip
def test_forms_of_other_sites_are_refused(headers: dict[str, str], passes: bool) -> None:
    found = request("https://audit.example", **headers)
    if passes:
        check_from_here(found)
        return
    with pytest.raises(Problem, match="not sent from a page of this site"):
        check_from_here(found)
