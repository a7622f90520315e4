"""Who is let in: service tokens, JWTs, scopes, tenants, and how often."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from audit_stream.cli.main import run_command
from audit_stream.errors import ConfigError
from audit_stream.evidence.encoding import b64u
from audit_stream.gateway.auth import Door, JwtRules, load_rules
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.tokens import TokenFile

NOW = 1_764_000_000.0
KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "k1"})
HEAD = {"alg": "ES256", "kid": "k1"}
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
    good = {"id": "x", "sha256": "0" * 64, "tenants": ["t"], "scopes": []}
    wrong = [{"sha256": "é" * 64}, {"expires": "never"}, {"expires": True}, {"tenants": "t"}]
    for damaged in (b"{", b'[{"id":1}]', b"[1]", *(orjson.dumps([good | each]) for each in wrong)):
        path = tmp_path / "damaged.json"
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="cannot be used"):
            TokenFile(path).find("x", NOW)
    path.write_bytes(orjson.dumps([good]))
    assert len(TokenFile(path).tokens()) == 1
    with pytest.raises(ConfigError, match="cannot be used: NotADirectoryError"):
        TokenFile(path / "below").tokens()


def test_a_slow_rate_lets_one_in_and_says_when_the_next(file: TokenFile) -> None:
    clock = [0.0]
    door = Door(file, None, 0.4, wall=lambda: NOW, clock=lambda: clock[0])
    _, token = file.create(("*",), ("audit:read",), None)
    door.admit(f"Bearer {token}")
    with pytest.raises(Problem) as told:
        door.admit(f"Bearer {token}")
    clock[0] = float(told.value.headers["Retry-After"])
    assert clock[0] == 3.0
    door.admit(f"Bearer {token}")


def test_a_jwt_of_the_issuer_is_let_in_with_its_known_scopes(rules: JwtRules) -> None:
    found = rules.caller(signed(), NOW)
    assert found == Caller(
        id="jwt:alice", tenants=("t1",), scopes=("audit:read",), until=NOW + 60
    )  # fmt: skip


@pytest.mark.parametrize(
    "token",
    [
        signed(iss="https://other.example"), signed(aud="other"), signed(exp=int(NOW) - 31),
        signed(exp=None), signed(iss=None), signed(aud=None), signed(sub=None),
        signed(nbf=int(NOW) + 60), signed(OTHER), signed(tenants="t1"),
        signed(scope=["audit:read"]), signed(tenants=["t1", None]), signed(tenants=[["*"]]),
        signed(iat=int(NOW) + 60), jws.serialize_compact(HEAD, b"[" * 6000, KEY),
        jws.serialize_compact(HEAD, b"[]", KEY),
        signed(OctKey.generate_key(256), "HS256"), signed()[:-4] + "AAAA", "a.b.c", "", "..",
    ],
)  # fmt: skip
def test_any_other_jwt_is_not(rules: JwtRules, token: str) -> None:
    assert rules.caller(token, NOW) is None


@pytest.mark.filterwarnings("ignore:EdDSA")
def test_each_algorithm_is_taken_with_its_own_key_only(tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "ES256": KEY, "RS256": RSAKey.generate_key(2048, {"kid": "r"}),
        "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "e"}),
        "unfit": OKPKey.generate_key("X25519", {"kid": "x"}),
    }  # fmt: skip
    keys["PS256"] = keys["RS256"]
    path = tmp_path / "jwks.json"
    path.write_bytes(orjson.dumps({"keys": [key.as_dict(private=False) for key in keys.values()]}))
    rules = load_rules(path, "https://login.example", "audit")
    for alg in rules.algorithms:
        head = {"alg": alg, "kid": keys[alg].kid}
        signature = jwt.encode(head, CLAIMS, keys[alg], algorithms=[alg])
        assert rules.caller(signature, NOW) is not None
        body, _, tail = signature.partition(".")[2].partition(".")
        for key in keys.values():
            other = b64u(orjson.dumps({"alg": alg, "kid": key.kid}))
            if key.kid != keys[alg].kid:
                assert rules.caller(f"{other}.{body}.{tail}", NOW) is None


@pytest.mark.parametrize(
    "times",
    [{"nbf": int(NOW) + 2}, {"iat": int(NOW) + 2}, {"exp": int(NOW) - 2}],
)
def test_an_issuers_clock_may_be_a_little_off(rules: JwtRules, times: dict[str, int]) -> None:
    assert rules.caller(signed(**times), NOW) is not None


@pytest.mark.filterwarnings("ignore:Key size")
@pytest.mark.parametrize(
    "beside",
    [
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"}, {"kty": "AKP", "alg": "ML-DSA-44"},
        {"kty": "RSA", "n": "AQ", "e": "AQ"}, {"kty": []}, {"kid": "x"}, None, 5,
        {**OTHER.as_dict(private=False), "x": 5},
        {**OTHER.as_dict(private=False), "use": "enc"},
        OctKey.generate_key(256, {"kid": "k1"}).as_dict(private=True),
        {"kty": "RSA", "n": b64u(b"\x80" + bytes(126) + b"\1"), "e": "AQAB", "kid": "k1"},
    ],
)  # fmt: skip
def test_what_stands_beside_a_good_key_neither_hides_it_nor_counts(
    tmp_path: Path, beside: Any
) -> None:
    path = tmp_path / "jwks.json"
    for keys in ([beside, KEY.as_dict(private=False)], [KEY.as_dict(private=False), beside]):
        path.write_bytes(orjson.dumps({"keys": keys}))
        rules = load_rules(path, "https://login.example", "audit")
        assert len(rules.keys.now().keys) == 1
        assert rules.caller(signed(), NOW) is not None
    path.write_bytes(orjson.dumps({"keys": [beside]}))
    with pytest.raises(ConfigError, match="cannot be used"):
        load_rules(path, "https://login.example", "audit")


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


def test_callers_of_long_ago_take_no_memory(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_stream.gateway.auth._MOST_BUCKETS", 3)
    door = Door(file, None, 1.0, wall=lambda: NOW, clock=lambda: 0.0)
    made = [file.create(("*",), ("audit:read",), None) for _ in range(6)]
    busy = f"Bearer {made[0][1]}"
    door.admit(busy)
    for _, token in made[1:5]:
        door.admit(f"Bearer {token}")
    assert len(door._buckets) == 3
    door.admit(busy)
    door.admit(busy)
    door.admit(f"Bearer {made[5][1]}")
    with pytest.raises(Problem):  # who asks is not forgotten for others
        door.admit(busy)


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
