"""What is asked of a gateway in a planted installation: rightly, wrongly, and in no HTTP at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx

from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.tokens import TokenFile
from tests.support import raw_http
from tests.support.eventually import eventually
from tests.support.planted import persons_in
from tests.support.planted_events import ARCHIVED, STRANGER, escaped
from tests.support.planting import Scene
from tests.support.visiting import Visitor

API = "/api/v1/audit/notifications"
SEARCH, BUNDLE = f"{API}/search", "/api/v1/audit/evidence"
TENANT = {"platform_tenant_id": "tenant_a"}
ONE, TWO = ARCHIVED[:2]
MESSAGE = {"message_uuid": f"planted-{ONE.number:02d}"}
OURS, WRONG, OTHER = (
    {"customer_external_id": person.customer} for person in (ONE, STRANGER, TWO)
)  # fmt: skip
GARBAGE = (
    f"GET /{STRANGER.address} HTTP/9.9\r\n\r\n", f"{STRANGER.customer}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\n{STRANGER.address}: {STRANGER.address}\r\n\r\n",
    f"POST {SEARCH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9{STRANGER.address}\r\n\r\n",
)  # fmt: skip


class Client:
    """A caller of the API whose answers the scene keeps."""

    def __init__(self, scene: Scene, *tenants: str, scopes: tuple[str, ...] = SCOPES) -> None:
        file = TokenFile(scene.fleet.settings.gateway_tokens)
        _, self.token = file.create(tenants or ("*",), scopes, None)
        self.scene = scene
        self.http = httpx.Client(base_url=scene.url, timeout=30)
        scene.ends.callback(self.http.close)

    def ask(
        self, method: str, path: str, status: int, asked: Iterable[int] = (), **given: Any
    ) -> httpx.Response:
        """One request, whose answer must have this status; `asked`: whose data may be in it."""
        headers = {"Authorization": f"Bearer {self.token}"} | given.pop("headers", {})
        answer = self.http.request(method, path, headers=headers, **given)
        assert answer.status_code == status, answer.text
        keep(self.scene, answer, asked)
        return answer

    def find(self, status: int, asked: Iterable[int] = (), **fields: str) -> None:
        """Both ways to look up."""
        self.ask("POST", SEARCH, status, asked, json=fields)
        self.ask("GET", API, status, asked, params=fields)


def keep(
    scene: Scene, answer: httpx.Response, asked: Iterable[int] = (), name: str | None = None
) -> None:
    """File an answer: who was refused gets back what they sent at most."""
    request = answer.request
    request.read()
    head = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
    if answer.status_code >= 400:
        name, sent = "refusal", [str(request.url), *request.headers.values()]
        asked = persons_in("\n".join(sent).encode() + b"\n" + request.content)
    what = f"{answer.status_code} to {request.method} {request.url.path[:24]}"
    scene.say(name or "answer", what, head.encode() + b"\n\n" + answer.content, asked)


async def api(scene: Scene) -> None:
    """Look-ups, and refusals of every kind."""
    every, elsewhere = Client(scene), Client(scene, "tenant_b")
    reader = Client(scene, "tenant_a", scopes=("audit:read",))

    async def logged() -> bool:
        ask = every.http.post
        headers = {"Authorization": f"Bearer {every.token}"}
        answer = await asyncio.to_thread(ask, BUNDLE, json=MESSAGE, headers=headers)
        return answer.status_code == 200

    await eventually(logged)
    me = [ONE.number]
    every.find(200, me, **MESSAGE)
    every.find(200, me, **MESSAGE, **OURS)
    every.find(200, me, **OURS, **TENANT)
    every.find(200, me, carrier_message_id=f"carrier-planted-{ONE.number:02d}")
    reader.find(200, me, **OURS)
    accept = {"Accept": "application/dc+sd-jwt"}
    for client in (every, reader):
        client.ask("GET", API, 200, me, params=MESSAGE, headers=accept)
    every.ask("POST", BUNDLE, 200, me, json=MESSAGE)
    for wrong in (WRONG, OTHER):
        every.find(404, **MESSAGE, **wrong)
    every.find(404, **WRONG, **TENANT)
    elsewhere.find(404, **OURS)
    elsewhere.find(404, **MESSAGE)
    reader.ask("POST", BUNDLE, 403, json=MESSAGE)
    _malformed(every)


def _malformed(client: Client) -> None:
    who = STRANGER
    for text in who.identities:
        client.ask("GET", API, 400, params={text: "1"})
        client.ask("GET", API, 400, params={**OURS, **TENANT, "cursor": text})
        client.ask("POST", SEARCH, 400, json={"customer_external_id": [text]})
        client.ask("POST", SEARCH, 400, content=f'{{"{text}'.encode(), headers={
            "Content-Type": "application/json"})  # fmt: skip
        client.ask("POST", SEARCH, 415, content=text.encode())
        client.ask("POST", SEARCH, 413, json={"customer_external_id": text * 2000})
        client.ask("GET", API, 431, params={"customer_external_id": text * 1000})
        client.ask("GET", f"/{escaped(text)}", 404)
        client.ask("GET", f"{API}/{escaped(text)}", 404)
        client.ask("DELETE", f"{API}?customer_external_id={escaped(text)}", 405)
        client.ask("GET", API, 401, headers={"Authorization": f"Bearer {escaped(text)}"})
        client.ask("GET", API, 401, headers={"Authorization": f"Basic {escaped(text)}"})
    for garbage in GARBAGE:
        heard = raw_http.exchange(client.scene.url, garbage.encode())
        client.scene.say("refusal", "the answer to garbage", heard)


async def pages(scene: Scene) -> None:
    """What an auditor sees, and what who is none."""
    every = Client(scene)
    visitor, nobody = Visitor(scene.url), Visitor(scene.url)
    for each in (visitor, nobody):
        scene.ends.callback(each.client.close)
    visitor.sign_in(f"{every.token}")
    me = [ONE.number]
    keep(scene, visitor.look_up(**MESSAGE, **OURS), me, "page")
    keep(scene, visitor.look_up(**MESSAGE), me, "page")
    keep(scene, visitor.look_up(**OURS, **TENANT), me, "page")
    keep(scene, visitor.submit(visitor.look_up(**MESSAGE), "/bundle"), me, "page")
    for wrong in (WRONG, OTHER):
        keep(scene, visitor.look_up(**MESSAGE, **wrong))
    for path in ("/overview", "/archive", "/quarantine", "/access", "/report", "/report.csv"):
        answer = visitor.get(path)
        assert answer.status_code == 200, answer.text
        keep(scene, answer, name="report")
    for text in STRANGER.identities:
        keep(scene, visitor.get("/report", **{"from": text}))
        keep(scene, visitor.get("/access", cursor=text))
        keep(scene, visitor.get(f"/{escaped(text)}"))
        keep(scene, visitor.post("/look-up", {"form": text, **OURS}))
        keep(scene, nobody.submit(nobody.get("/sign-in"), "/sign-in", token=text))
        keep(scene, nobody.post("/look-up", {"customer_external_id": text}), name="report")
