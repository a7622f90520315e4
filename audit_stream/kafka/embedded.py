"""A real Apache Kafka as a child process, for the demo, the tests and the benchmarks.

KRaft mode, loopback only, no security; one node, unless its owner overrides what makes it one.
Broker and data are disposable; the child never outlives its parent where the platform allows it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from audit_stream.errors import BrokerError
from audit_stream.kafka.child import kill, signal_group, spawn
from audit_stream.kafka.embedded_properties import HOST, properties
from audit_stream.kafka.jars import default_cache_dir, ensure_jars, find_java

START_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 20
_LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
# Below the ports that systems hand to outgoing connections: a client that retries on the port of
# a stopped broker could else be given that very port as its own, and hold it.
_PORTS = range(20_000, 32_000)


class EmbeddedKafka:
    """One broker with its data in `data_dir`, which is formatted at the first start.

    Start it from a thread that lives as long as the broker should: on Linux the child gets
    SIGKILL when that thread ends. `overrides` are server properties and win over ours,
    `jvm_options` come after ours; nodes of one cluster share a `cluster_id` (16 bytes, base64url
    without padding), which is drawn where none is given.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        overrides: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        cluster_id: str | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._cache_dir = cache_dir or default_cache_dir()
        self._heap_mb = heap_mb
        self._overrides = dict(overrides or {})
        self._own_jvm_options = tuple(jvm_options)
        self._cluster_id = cluster_id or fresh_cluster_id()
        first, second = free_ports(2)
        self._port = port or first
        self._controller_port = second
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0  # where in the log this run's output begins

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:port``, as clients want it."""
        return f"{HOST}:{self._port}"

    @property
    def url(self) -> str:
        """``kafka://127.0.0.1:port``, as our settings want it."""
        return f"kafka://{self.bootstrap}"

    @property
    def pid(self) -> int:
        """The process id of the running broker. Raises BrokerError when none runs."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the broker's process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """Where the broker's output goes; it is appended to over restarts."""
        return self._data_dir / "server.log"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self, *, limit_seconds: float = START_LIMIT_SECONDS) -> None:
        """Start the broker; on return it answers metadata and group requests.

        Raises ConfigError without Java or jgo, BrokerError (with the end of the server log) when
        the broker ends or is not ready within `limit_seconds`.
        """
        if self._process is not None:
            raise BrokerError(f"the embedded Kafka on {self.bootstrap} was already started")
        for port in (self._port, self._controller_port):
            _refuse_taken(port)  # else the other listener's answers would pass for ours
        deadline = time.monotonic() + limit_seconds
        jars = await asyncio.to_thread(ensure_jars, self._cache_dir)
        java = [str(find_java()), "-cp", f"{jars}/*"]
        self._write_properties()
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        if not (self._data_dir / "log" / "meta.properties").exists():
            await asyncio.to_thread(self._format, java)
        self._process = self._spawn([*java[:1], *self._jvm_options(), *java[1:]])
        try:
            await self._wait_ready(deadline)
        except BaseException:
            self.kill()
            raise

    async def stop(self, *, limit_seconds: float = STOP_LIMIT_SECONDS) -> None:
        """End the broker with SIGTERM, with SIGKILL after the limit. Does nothing if none runs."""
        if self._process is None:
            return
        signal_group(self._process, signal.SIGCONT)  # a paused process could not obey
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, limit_seconds)
        self.kill()

    def kill(self) -> None:
        """End the broker with SIGKILL, at once. Does nothing if none runs.

        The next start takes some 10 s more: KRaft waits for the lost broker's session to end
        (``broker.session.timeout.ms``; shorten it in `overrides` where tests kill often).
        """
        if self._process is not None:
            kill(self._process)
            self._process = None

    async def restart(self) -> None:
        """Stop (if it runs) and start again: same ports, same data."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Freeze the broker with SIGSTOP: its port stays open and nothing answers."""
        signal_group(self._running(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        signal_group(self._running(), signal.SIGCONT)

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines the broker wrote since its last start."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the embedded Kafka does not run", hint="call start() first")
        return self._process

    def _write_properties(self) -> None:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        merged = properties(self._data_dir / "log", self._port, self._controller_port)
        merged.update(self._overrides)
        text = "".join(f"{key}={value}\n" for key, value in merged.items())
        self._properties_path.write_text(text, "utf-8")

    @property
    def _properties_path(self) -> Path:
        return self._data_dir / "server.properties"

    def _jvm_options(self) -> list[str]:
        # Serial GC: the broker shares a small machine with its clients.
        ours = [f"-Xmx{self._heap_mb}m", "-XX:+UseSerialGC", *_LOG_OPTIONS]
        return [*ours, *self._own_jvm_options]

    def _format(self, java: Sequence[str]) -> None:
        # With an equals sign: one id in 64 begins with a dash and would be read as an option.
        command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id}"]
        with self.log_path.open("ab") as log:
            done = subprocess.run(
                [*command, "-c", str(self._properties_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise self._failure("could not format its data folder")

    def _spawn(self, java: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return spawn([*java, "kafka.Kafka", str(self._properties_path)], self._data_dir, log)

    async def _wait_ready(self, deadline: float) -> None:
        await self._poll(self._port_open, "did not open its port in time", deadline)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
        try:
            await self._poll(lambda: _answers(admin), "did not become ready in time", deadline)
        finally:
            await admin.close()

    async def _poll(
        self, ready: Callable[[], Awaitable[bool]], complaint: str, deadline: float
    ) -> None:
        while not await ready():
            if (code := self._running().poll()) is not None:
                raise self._failure(f"ended with code {code}")
            if time.monotonic() > deadline:
                raise self._failure(complaint)
            await asyncio.sleep(_POLL_SECONDS)

    async def _port_open(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return False
        writer.close()
        return True

    def _failure(self, what: str) -> BrokerError:
        return BrokerError(f"the embedded Kafka {what}; its log ends with:\n{self.log_tail()}")


async def _answers(admin: AIOKafkaAdminClient) -> bool:
    """Whether metadata and a request to a group's coordinator succeed, now."""
    try:
        await admin.start()
        response, *_ = await admin.describe_consumer_groups(["audit-stream-readiness"])
    except (KafkaError, OSError, TimeoutError):
        return False
    return all(error_code == 0 for error_code, *_ in response.groups)


def fresh_cluster_id() -> str:
    """As ``kafka-storage random-uuid`` draws one: 16 random bytes in base64url."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode("ascii").rstrip("=")


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on, all different."""
    sockets: list[socket.socket] = []
    try:
        for port in random.sample(_PORTS, len(_PORTS)):
            candidate = socket.socket()
            sockets.append(candidate)
            try:
                candidate.bind((HOST, port))
            except OSError:
                sockets.pop().close()
            if len(sockets) == count:
                return [bound.getsockname()[1] for bound in sockets]
        raise BrokerError("no free port for the embedded Kafka")
    finally:
        for bound in sockets:
            bound.close()


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"port {port} of the embedded Kafka is already in use",
                hint="stop what listens there, or choose another port",
            ) from error
