"""The one segment, or end, under a base, among the objects that stand there (V11, V12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from audit_stream.evidence.ending import End
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment
from audit_stream.verify.findings import Findings
from audit_stream.verify.report import Failed


class Found(NamedTuple):
    """The segment or end under a base, and the junk under the names before its own."""

    name: str
    link: Segment | End
    junk: list[dict[str, str]]
    disposed: bool = False

    @property
    def records(self) -> int:
        """How many it holds."""
        return 0 if isinstance(self.link, End) else self.link.header.count


class Attempts:
    """Looks at the objects of one base, in the order of their names; once for each base.

    `read` gives an object's bytes, or None; `open_object` what they are, or `Failed`.
    """

    def __init__(
        self, read: Callable[[str], bytes | None],
        open_object: Callable[[SegmentName, bytes], Segment | End], findings: Findings,
    ) -> None:  # fmt: skip
        self._read, self._open, self._findings = read, open_object, findings
        self._found: Found | None = None
        self._junk: list[dict[str, str]] = []
        self._first: tuple[Failed, str] | None = None
        self._accused = False

    def pick(self, names: Iterable[SegmentName]) -> Found | None:
        """The one; what nobody trusted signed before it is junk. None when there is none, which
        is noted."""
        for name in names:
            data = self._read(str(name))
            try:
                link = self._open(name, data or b"")
            except Failed as failed:
                self._pass_over(failed, str(name), data or b"")
            else:
                self._take(str(name), link, disposed=data is None)
        if self._found is None and self._first is not None and not self._accused:
            self._findings.fail(*self._first)
        return self._found

    def _take(self, name: str, link: Segment | End, *, disposed: bool) -> None:
        if self._found is None:
            self._found = Found(name, link, list(self._junk), disposed)
        else:
            self._findings.wrong("V11", name, "is a second signed object at its base: a fork")

    def _pass_over(self, failed: Failed, name: str, data: bytes) -> None:
        if failed.signed or failed.unknown:  # no writer passes these over
            self._findings.fail(failed, name)
            self._accused = True
        elif self._found is not None:
            what = "is no segment and stands behind the one that is"
            self._findings.wrong("V12", name, what)
        else:
            self._first = self._first or (failed, name)
            self._junk.append({"name": name, "sha256": sha256(data).hexdigest()})
