"""A double in a process of its own, started and spoken to by a test.

    with BlobProcess() as double:
        double.tell("containers", name="audit", kind="clw", days=2557)
        double.tell("identities", sas="worker-0", rights="rlac")
        double.tell("faults", kind="drop_after", share=0.2, seed=7)
        worker = ...  # AUDIT_AZURE_ENDPOINT=double.endpoint, AUDIT_AZURE_SAS=sig=worker-0
        double.ask("counters")["seconds"]["worker-0"]

The calls block for a few milliseconds: all of them may be used from a coroutine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]
_SECONDS = 30


class BlobProcess:
    """The double, while the `with` lasts; `arguments` are those of ``tests.support.blobs``."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.places: dict[str, str] = {}

    @property
    def endpoint(self) -> str:
        """What AUDIT_AZURE_ENDPOINT wants, for any account of the double."""
        return self.places["root"] + "/{account}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.blobs", *self._arguments],
            cwd=ROOT, stdout=subprocess.PIPE,
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
