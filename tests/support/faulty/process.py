"""A server in a process of its own, and the way to speak to it.

The calls block for a few milliseconds: all of them may be used from a coroutine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]
_SECONDS = 30


class FaultyProcess:
    """A server, while the `with` lasts; `arguments` are those of its module.

    The first line that it prints is JSON: its places, ``control`` among them. `secrets` go to its
    environment, not to its command line.
    """

    module: str

    def __init__(self, *arguments: str, secrets: Mapping[str, str] | None = None) -> None:
        self._arguments, self._secrets = arguments, dict(secrets or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.places: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self._arguments],
            cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | self._secrets,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.places = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def ask(self, what: str) -> Any:
        """GET, e.g. ``counters`` or ``requests?after=10``."""
        return self._call("GET", what, None)

    def tell(self, what: str, **given: Any) -> Any:
        """POST, e.g. ``faults`` with what `Faults.inject` takes."""
        return self._call("POST", what, given)

    def clear(self, what: str) -> None:
        """DELETE, e.g. ``faults``."""
        self._call("DELETE", what, None)

    def _call(self, method: str, what: str, given: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(
            f"{self.places['control']}/{what}", method=method,
            data=None if given is None else json.dumps(given).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return json.load(answer)
