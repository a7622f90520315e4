"""Who is let in: service tokens, JWTs, scopes, tenants, and how often."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from audit_stream.cli.main import run_command
from audit_stream.errors import ConfigError
from audit_stream.gateway.auth import Caller, Door, JwtRules, TokenFile, load_rules
from audit_stream.gateway.problems import Problem

NOW = 1_764_000_000.0
KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "k1"})
CLAIMS = {
    "iss": "https://login.example", "aud": "audit", "sub": "alice", "exp": int(NOW) + 60,
    "scope": "audit:read openid", "tenants": ["t1"],
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "deep" / "tokens.json")


@pytest.fixture
def rules(tmp_path: Path) -> JwtRules:
    path = tmp_path / "jwks.json"
    path.write_bytes(orjson.dumps({"keys": [KEY.as_dict(private=False)]}))
    return load_rules(path, "https://login.example", "audit")


def signed(key: Any = KEY, alg: str = "ES256", **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode({"alg": alg, "kid": "k1"}, claims, key)


def test_a_token_is_kept_as_its_hash_only(file: TokenFile, tmp_path: Path) -> None:
    stored, token = file.create(("t1",), ("audit:read",), None)
    path = tmp_path / "deep" / "tokens.json"
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert file.find(token, NOW) == Caller(id=stored.id, tenants=("t1",), scopes=("audit:read",))
    assert token not in repr(stored)
    assert stored.sha256 not in repr(stored)


def test_other_expired_and_revoked_tokens_are_none(file: TokenFile) -> None:
    stored, token = file.create(("*",), ("audit:read",), int(NOW))
    _, other = file.create(("*",), ("audit:read",), None)
    assert file.find(token, NOW - 1) is not None
    assert file.find(token, NOW) is None
    assert file.find(token + "x", NOW - 1) is None
    assert file.find("", NOW) is None
    file.revoke(stored.id)
    assert file.find(token, NOW - 1) is None
    assert file.find(other, NOW) is not None
    with pytest.raises(ConfigError, match="no token has the id"):
        file.revoke("nobody")


def test_unknown_scopes_and_a_damaged_file_are_refused(file: TokenFile, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown scopes: audit:write"):
        file.create(("*",), ("audit:write",), None)
    for damaged in (b"{", b'[{"id":1}]', b"[1]"):
        path = tmp_path / "damaged.json"
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="cannot be used"):
            TokenFile(path).tokens()


def test_a_jwt_of_the_issuer_is_let_in_with_its_known_scopes(rules: JwtRules) -> None:
    found = rules.caller(signed(), NOW)
    assert found == Caller(
        id="jwt:alice", tenants=("t1",), scopes=("audit:read",), until=NOW + 60
    )  # fmt: skip


@pytest.mark.parametrize(
    "token",
    [
        signed(iss="https://other.example"), signed(aud="other"), signed(exp=int(NOW) - 1),
        signed(exp=None), signed(iss=None), signed(aud=None), signed(sub=None),
        signed(nbf=int(NOW) + 60), signed(OTHER), signed(tenants="t1"),
        signed(scope=["audit:read"]),
        signed(OctKey.generate_key(256), "HS256"), signed()[:-4] + "AAAA", "a.b.c", "", "..",
    ],
)  # fmt: skip
def test_any_other_jwt_is_not(rules: JwtRules, token: str) -> None:
    assert rules.caller(token, NOW) is None


def test_rules_need_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    with pytest.raises(ConfigError, match="AUDIT_GATEWAY_ISSUER"):
        load_rules(path, None, "audit")
    with pytest.raises(ConfigError, match="cannot be used"):
        load_rules(path, "i", "a")
    path.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be used"):
        load_rules(path, "i", "a")


def test_each_caller_has_a_rate_of_its_own(file: TokenFile, rules: JwtRules) -> None:
    clock = [0.0]
    door = Door(file, rules, 2.0, wall=lambda: NOW, clock=lambda: clock[0])
    _, token = file.create(("*",), ("audit:read",), None)
    ours, theirs = f"Bearer {token}", f"bearer {signed()}"
    for _ in range(4):
        door.admit(ours)
    with pytest.raises(Problem) as told:
        door.admit(ours)
    assert (told.value.status, told.value.headers["Retry-After"]) == (429, "1")
    assert door.admit(theirs).id == "jwt:alice"
    clock[0] = 0.5
    door.admit(ours)
    with pytest.raises(Problem):
        door.admit(ours)


def test_scopes_and_tenants_are_what_the_token_says() -> None:
    caller = Caller(id="x", tenants=("t1",), scopes=("audit:read",))
    caller.may("audit:read")
    with pytest.raises(Problem) as told:
        caller.may("audit:export")
    assert told.value.status == 403
    assert caller.sees("t1")
    assert not caller.sees("t2")
    assert Caller(id="x", tenants=("*",), scopes=()).sees("t2")


def test_the_commands_make_list_and_revoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_GATEWAY_TOKENS", str(tmp_path / "tokens.json"))
    assert run_command(["tokens", "create", "--tenant", "t", "--scope", "audit:read"]) == 0
    token = capsys.readouterr().out.strip()
    assert run_command(["tokens", "list", "--json"]) == 0
    (listed,) = orjson.loads(shown := capsys.readouterr().out)
    assert token not in shown
    assert listed["revoked"] is False
    assert run_command(["tokens", "revoke", listed["id"]]) == 0
    assert TokenFile(tmp_path / "tokens.json").find(token, NOW) is None
    assert run_command(["tokens", "create", "--tenant", "t", "--scope", "x"]) == 2
