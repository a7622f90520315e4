"""Where the steps of a verification note what they find."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit_stream.verify.report import Failed, Problem


@dataclass(slots=True)
class Findings:
    """What is wrong, what this release does not know, and what is worth saying: each in the order
    in which it was found."""

    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, step: str, name: str, what: str, *, unknown: bool = False) -> None:
        """A step found this of the object `name`; `unknown`: of a version this release has not."""
        (self.unknown if unknown else self.problems).append(Problem(step, name, what))

    def fail(self, failed: Failed, name: str) -> None:
        """A step failed at the object `name`."""
        self.wrong(failed.step, name, failed.what, unknown=failed.unknown)

    def miss(self, step: str, name: str) -> None:
        """An object is missing: said unless something was said of it already."""
        if not any(problem.name == name for problem in (*self.problems, *self.unknown)):
            self.wrong(step, name, "is missing")
