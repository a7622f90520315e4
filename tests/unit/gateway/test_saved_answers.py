"""A saved answer, verified by tools that are not ours."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
import rfc8785
from joserfc.jwk import ECKey

from audit_stream.errors import ConfigError
from audit_stream.evidence.key_line import thumbprint
from audit_stream.gateway.signing import ROTATE_SECONDS, load_signer
from tests.support.asking import Asked
from tests.support.indexing import CUSTOMERS, PUBS

JOSE = shutil.which("jose")
needs_jose = pytest.mark.skipif(JOSE is None, reason="needs the Debian package jose")
NOT_HASHED = {"customer_external_id", "recipient_address", "integrity_hash"}
NOW = 1_764_000_000.0


def whole(answer: dict[str, Any]) -> str:
    """The compact JWS with its payload put back, as the how-to page does it."""
    rest = dict(answer)
    head, empty, signature = rest.pop("signature").split(".")
    assert empty == ""
    payload = base64.urlsafe_b64encode(rfc8785.dumps(rest)).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


@pytest.fixture(scope="module")
def saved(asked: Asked) -> list[dict[str, Any]]:
    """A message, a page and a 404."""
    token = asked.token("*")
    (tenant, customer), messages = next(iter(CUSTOMERS.items()))
    return [
        asked.get(token, message_uuid=messages[0][1], platform_tenant_id=tenant).json(),
        asked.post(token, customer_external_id=customer, platform_tenant_id=tenant).json(),
        asked.get(token, message_uuid="unknown").json(),
    ]


@pytest.fixture(scope="module")
def keys(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = asked.client.get("/.well-known/jwks.json").json()
    return found


def jose(text: str, keys: dict[str, Any], folder: Path) -> tuple[int, bytes]:
    """Exit code and verified payload of `jose jws ver`."""
    (folder / "keys.json").write_text(json.dumps(keys))
    (folder / "answer.jws").write_text(text)
    assert JOSE is not None
    done = subprocess.run(
        [JOSE, "jws", "ver", "-i", "answer.jws", "-k", "keys.json", "-O", "-"], cwd=folder,
        capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


@needs_jose
def test_an_independent_tool_verifies_a_saved_answer(
    saved: list[dict[str, Any]], keys: dict[str, Any], tmp_path: Path
) -> None:
    for answer in saved:
        code, payload = jose(whole(answer), keys, tmp_path)
        assert code == 0
        assert {**json.loads(payload), "signature": answer["signature"]} == answer


@needs_jose
def test_and_refuses_one_that_was_changed(
    saved: list[dict[str, Any]], keys: dict[str, Any], tmp_path: Path
) -> None:
    answer = saved[0]
    record = {**answer["audit_record"], "delivery_status": "FAILED"}
    for changed in ({**answer, "audit_record": record}, {**answer, "status": "tampered"},
                    {**answer, "as_of": {**answer["as_of"], "size": 1}}):  # fmt: skip
        assert jose(whole(changed), keys, tmp_path)[0] != 0
    other = load_signer(tmp_path / "other", NOW).key_set
    assert jose(whole(answer), other, tmp_path)[0] != 0


def test_pyjwt_verifies_it_too(saved: list[dict[str, Any]], keys: dict[str, Any]) -> None:
    found = jwt.PyJWKSet.from_dict(keys)
    for answer in saved:
        header = jwt.get_unverified_header(whole(answer))
        assert (header["alg"], header["typ"]) == ("ES256", "audit-response+jws")
        token = jwt.api_jws.decode_complete(
            whole(answer), found[header["kid"]].key, algorithms=["ES256"]
        )
        assert json.loads(token["payload"]).keys() == answer.keys() - {"signature"}


def test_old_answers_outlive_their_key_whose_private_half_goes(tmp_path: Path) -> None:
    first = load_signer(tmp_path, NOW)
    answer = json.loads(first.signed({"status": "verified"}))
    kept = first.kid
    first.renew(NOW + ROTATE_SECONDS - 1)
    assert first.kid == kept
    first.renew(NOW + ROTATE_SECONDS)
    assert first.kid != kept
    later = load_signer(tmp_path, NOW + ROTATE_SECONDS + 1)
    assert later.kid == first.kid
    assert [key["kid"] for key in later.key_set["keys"]] == [kept, later.kid]
    assert all("d" not in key for key in later.key_set["keys"])
    files = [json.loads(path.read_bytes()) for path in sorted(tmp_path.glob("answer-*.json"))]
    assert ["d" in key for key in files] == [False, True]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path, *tmp_path.iterdir()))
    assert len(files) == len(list(tmp_path.iterdir()))  # nothing temporary is left
    found = jwt.PyJWKSet.from_dict(later.key_set)
    jwt.api_jws.decode_complete(whole(answer), found[kept].key, algorithms=["ES256"])


def test_a_key_renewed_meanwhile_is_not_named_for_anothers_signature(tmp_path: Path) -> None:
    signer = load_signer(tmp_path, NOW)
    old, new = signer._keys[0], load_signer(tmp_path / "other", NOW)._keys[0]

    class Renewed(list[Any]):  # as another thread leaves it, between any two looks
        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            self[:] = [old, new]
            return found

    signer._keys = Renewed([old])
    answers = [json.loads(signer.signed({"status": "verified"})) for _ in range(2)]
    kids = [jwt.get_unverified_header(whole(answer))["kid"] for answer in answers]
    assert kids == [old.thumbprint(), new.thumbprint()]
    found = jwt.PyJWKSet.from_dict(signer.key_set)
    for answer, kid in zip(answers, kids, strict=True):
        jwt.api_jws.decode_complete(whole(answer), found[kid].key, algorithms=["ES256"])


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"kty":"EC","crv":"P-999","x":"AA","y":"AA","d":"AA"}',
        json.dumps(ECKey.generate_key("P-384").as_dict(private=True)),
    ],
)  # fmt: skip
def test_a_file_that_is_no_key_of_ours_is_said_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / f"answer-{int(NOW):012d}-aa.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no key"):
        load_signer(tmp_path, NOW)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="is open to others"):
        load_signer(tmp_path, NOW)


def test_the_key_can_be_announced_in_the_log(tmp_path: Path) -> None:
    signer = load_signer(tmp_path, NOW)
    assert len(signer.public_point) == 65
    assert thumbprint(signer.public_point) == signer.kid
    assert signer.kid in repr(signer)
    private = json.loads(next(tmp_path.glob("answer-*.json")).read_bytes())["d"]
    assert private not in repr(signer)


def test_every_answer_is_in_the_signed_canonical_form(asked: Asked) -> None:
    answer = asked.get(asked.token("*"), message_uuid=PUBS[0]["message_uuid"],
                       platform_tenant_id=PUBS[0]["platform_tenant_id"])  # fmt: skip
    assert answer.content == rfc8785.dumps(answer.json())


def sd_jwt(asked: Asked, **query: str) -> tuple[str, list[str]]:
    headers = {**asked.token("*"), "Accept": "application/sd-jwt"}
    found = asked.get(headers, **query)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "application/sd-jwt"
    token, *disclosures, rest = found.text.split("~")
    assert rest == ""
    return token, disclosures


def shown(token: str, disclosures: list[str], keys: dict[str, Any]) -> dict[str, Any]:
    """Verified with PyJWT, the disclosures by RFC 9901 section 7.1."""
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWKSet.from_dict(keys)[kid].key
    payload: dict[str, Any] = json.loads(
        jwt.api_jws.decode_complete(token, key, algorithms=["ES256"])["payload"]
    )
    assert payload["_sd_alg"] == "sha-256"
    record = payload["audit_record"]
    for each in disclosures:
        digest = base64.urlsafe_b64encode(sha256(each.encode()).digest()).rstrip(b"=").decode()
        assert digest in record["_sd"]
        _, name, value = json.loads(base64.urlsafe_b64decode(each + "=="))
        assert name not in record
        record[name] = value
    return payload


def test_an_sd_jwt_holds_whole_and_cut(asked: Asked, keys: dict[str, Any]) -> None:
    for (tenant, customer), messages in CUSTOMERS.items():
        query = {"message_uuid": messages[0][1], "platform_tenant_id": tenant}
        token, disclosures = sd_jwt(asked, **query)
        record = shown(token, disclosures, keys)["audit_record"]
        assert record["customer_external_id"] == customer
        assert record.keys() >= {"recipient_address", "integrity_hash", "revision"}
        pub = {name: record[name] for name in record.keys() - NOT_HASHED}
        assert record["integrity_hash"] == f"sha256:{sha256(rfc8785.dumps(pub)).hexdigest()}"
        cut = shown(token, disclosures[:1], keys)["audit_record"]
        assert "recipient_address" not in cut
        assert customer not in json.dumps(shown(token, [], keys))


def test_the_address_is_for_who_may_export(asked: Asked, keys: dict[str, Any]) -> None:
    (tenant, customer), messages = next(iter(CUSTOMERS.items()))
    headers = {**asked.token("*", scopes=("audit:read",)), "Accept": "application/sd-jwt"}
    found = asked.get(headers, message_uuid=messages[0][1], platform_tenant_id=tenant)
    token, *disclosures, _ = found.text.split("~")
    record = shown(token, disclosures, keys)["audit_record"]
    assert record["customer_external_id"] == customer
    assert "recipient_address" not in record


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"), ("application/sd-jwt+json", "application/json"),
        ("x/application/sd-jwt", "application/json"),
        ("text/html, Application/SD-JWT; q=0.9", "application/sd-jwt"),
    ],
)  # fmt: skip
def test_who_does_not_ask_for_an_sd_jwt_gets_none(asked: Asked, accept: str, kind: str) -> None:
    headers = {**asked.token("*"), "Accept": accept}
    found = asked.get(headers, message_uuid=PUBS[0]["message_uuid"],
                      platform_tenant_id=PUBS[0]["platform_tenant_id"])  # fmt: skip
    assert found.headers["content-type"] == kind


def test_a_page_is_no_sd_jwt_and_each_is_journaled(asked: Asked) -> None:
    (tenant, customer), messages = next(iter(CUSTOMERS.items()))
    headers = {**asked.token("*"), "Accept": "application/sd-jwt"}
    named = {"customer_external_id": customer, "platform_tenant_id": tenant}
    assert asked.post(headers, **named).status_code == 400
    sd_jwt(asked, message_uuid=messages[0][1], platform_tenant_id=tenant)
    assert [(e["status"], e["found"]) for e in asked.journal()[-2:]] == [(400, 0), (200, 1)]
