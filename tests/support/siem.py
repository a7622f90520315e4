"""A receiver of records over real HTTP, in a process of its own: what it really stored, by key.

``python -m tests.support.siem FOLDER [PORT]`` prints its port, and answers as ``FOLDER/mode.json``
says (read again for each request). Each thing that it stores is a line of ``FOLDER/journal.jsonl``
before it answers, so the journal outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from tests.support.eventually import until

PATH = "/api/v1/compliance/notifications"
JOURNAL, SEEN = "journal.jsonl", "seen.jsonl"
TOKEN = "eyJhbGciOi.eyJzdWIiOi.c2ln"


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How it answers. Of lists each post takes the next, and the last one is kept."""

    kind: str = "sync"  # sync, async, plain, bare202, elsewhere
    statuses: list[int] = field(default_factory=list)  # before the kind's own answer: each once
    refuse: dict[str, int] = field(default_factory=dict)  # key, or its end -> status, always
    status: int | None = None  # of every post
    retry_after: str | None = None
    echo: bool = False  # a refusal repeats what was posted
    pending: int = 0  # looks at a status before it is final
    final: str = "stored"  # stored, failed, lost
    drop: str = ""  # before, after: the connection, once the post is (not) stored
    drops: int = 0  # so many
    forget: bool = False  # keys: a second post is stored twice
    tokens: list[str] = field(default_factory=lambda: [TOKEN])
    latency: float = 0.0
    rate: int = 0  # posts a second; more are refused with 429


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal, self.seen = ((folder / name).open("a") for name in (JOURNAL, SEEN))
        self.known = Counter(entry["key"] for entry in _lines(folder / JOURNAL))
        self.given: Counter[str] = Counter()  # answers of each list of the mode
        self.jobs: dict[str, dict[str, Any]] = {}
        self.second: list[float] = []
        self.stamp, self.mode = 0, Mode()

    def read_mode(self) -> Mode:
        path = self.folder / "mode.json"
        stamp = path.stat().st_mtime_ns
        if stamp != self.stamp:
            self.mode, self.stamp = Mode(**json.loads(path.read_text())), stamp
            self.given.clear()
        return self.mode

    def store(self, key: str, body: bytes) -> None:
        if self.known[key] and not self.mode.forget:
            return
        self.known[key] += 1
        self.write(self.journal, {"key": key, "body": json.loads(body)})

    def write(self, file: TextIO, entry: dict[str, Any]) -> None:
        file.write(json.dumps(entry) + "\n")
        file.flush()

    async def post(self, request: web.Request) -> web.StreamResponse:
        mode, body = self.read_mode(), await request.read()
        key = request.headers.get("X-Idempotency-Key", "")
        self.write(self.seen, {"key": key, "type": request.headers.get("Content-Type")})
        if mode.latency:
            await asyncio.sleep(mode.latency)
        if request.headers.get("Authorization") not in [f"Bearer {t}" for t in mode.tokens]:
            return web.Response(status=401)
        return await self.answer(mode, key, body, request)

    async def answer(
        self, mode: Mode, key: str, body: bytes, request: web.Request
    ) -> web.StreamResponse:
        if self.is_too_fast(mode):
            return web.Response(status=429, headers={"Retry-After": "1"})
        status = self.status_of(mode, key)
        if status is not None:
            headers = {} if mode.retry_after is None else {"Retry-After": mode.retry_after}
            if 300 <= status < 400:
                headers["Location"] = "https://elsewhere.example/"
            return web.Response(status=status, headers=headers, body=body if mode.echo else b"no")
        if mode.drop and self.given["drops"] < mode.drops:
            self.given["drops"] += 1
            if mode.drop == "after":
                self.store(key, body)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return self.accept(mode, key, body)

    def is_too_fast(self, mode: Mode) -> bool:
        if not mode.rate:
            return False
        now = asyncio.get_running_loop().time()
        self.second = [at for at in self.second if at > now - 1]
        self.second += [now] if len(self.second) < mode.rate else []
        return self.second[-1] != now

    def status_of(self, mode: Mode, key: str) -> int | None:
        for ending, status in mode.refuse.items():
            if key.endswith(ending):
                return status
        if self.given["statuses"] < len(mode.statuses):
            self.given["statuses"] += 1
            return mode.statuses[self.given["statuses"] - 1]
        return mode.status

    def accept(self, mode: Mode, key: str, body: bytes) -> web.Response:
        if mode.kind in ("async", "elsewhere"):
            job = f"/jobs/{len(self.jobs)}"
            self.jobs[job] = {"key": key, "body": body, "left": mode.pending}
            place = job if mode.kind == "async" else f"http://elsewhere.example{job}"
            return web.Response(status=202, headers={"Location": place})
        if mode.kind == "bare202":
            return web.Response(status=202)
        if mode.kind == "sync":
            self.store(key, body)
        return web.Response(status=201)  # `plain` says the same and stores nothing

    async def job(self, request: web.Request) -> web.Response:
        mode, job = self.read_mode(), self.jobs.get(request.path)
        if request.headers.get("Authorization") not in [f"Bearer {t}" for t in mode.tokens]:
            return web.Response(status=401)
        if job is None or mode.final == "lost":
            return web.Response(status=404)
        if job["left"]:
            job["left"] -= 1
            return web.json_response({"status": "pending"})
        if mode.final == "stored":
            self.store(job["key"], job["body"])
        return web.json_response({"status": mode.final})


async def serve(folder: Path, port: int) -> None:
    server = Server(folder)
    app = web.Application()
    app.router.add_post(PATH, server.post)
    app.router.add_get("/jobs/{number}", server.job)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
    await site.start()
    bound = runner.addresses[0][1]
    (folder / "port.new").write_text(str(bound))
    (folder / "port.new").rename(folder / "port")
    await asyncio.Event().wait()


@dataclass
class Siem:
    """The receiver, from a test's side."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.be(Mode())
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def be(self, mode: Mode) -> None:
        """From the next request on."""
        new = self.folder / "mode.new"
        new.write_text(json.dumps(asdict(mode)))
        new.rename(self.folder / "mode.json")

    def start(self) -> None:
        (self.folder / "port").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.siem", str(self.folder), str(self.port)]
        )
        until((self.folder / "port").exists)
        self.port = int((self.folder / "port").read_text())

    def die(self) -> None:
        """At once, with all that it did not write down."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stored(self) -> list[dict[str, Any]]:
        """What it stored, in order: key and body."""
        return _lines(self.folder / JOURNAL)

    def keys(self) -> Counter[str]:
        """How often it stored each key."""
        return Counter(entry["key"] for entry in self.stored())

    def seen(self) -> list[dict[str, Any]]:
        """What was posted, in order: key and content type."""
        return _lines(self.folder / SEEN)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]  # the last line may be being written
    return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def siem(folder: Path) -> Iterator[Siem]:
    """One for the block."""
    server = Siem(folder)
    try:
        yield server
    finally:
        server.die()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
