"""What the campaign needs of a store: its faults, and a place to archive to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.scenarios import Scenario
from tests.support.faulty.process import FaultyProcess

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the workers archive to. In the log of `server` a worker goes by its name."""

    server: FaultyProcess
    shared: Environment
    worker: Callable[[str], Environment]  # by its name
    reader: Environment


@dataclass(frozen=True, slots=True)
class Store:
    """A store under test; `account` gets a folder and the names of the workers."""

    name: str
    scenarios: Sequence[Scenario]
    account: Callable[[Path, list[str]], AbstractContextManager[Account]]

    @property
    def by_name(self) -> dict[str, Scenario]:
        """The scenarios."""
        return {scenario.name: scenario for scenario in self.scenarios}
