"""When a second store that fails holds a process up, and what the settings take over."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.app.guarded import SECOND_READY, GuardedStores, guarded_stores
from audit_stream.app.second import SECOND
from audit_stream.errors import ConfigError, StoreTransient
from audit_stream.settings import Settings
from audit_stream.stores.mirrored import MirroredStore
from audit_stream.stores.retry import ResilientStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually


class Process:
    """One that writes to two folders; the second one can be made to fail."""

    def __init__(self, folder: Path, *, strict: bool = False, **fields: object) -> None:
        self.second, self.health, self.metrics = folder / "second", Health(), Metrics()
        self.settings = Settings.load(
            None, archive_secondary=self.second.as_uri(), breaker_attempts=1,
            **{"secondary_lag_seconds": 0.3, **fields},
        )  # fmt: skip
        self.stores: GuardedStores = guarded_stores(
            self.settings, AlarmBoard("test"), self.metrics, self.health, strict=strict
        )

    def open_breaker(self) -> None:
        breaker = self.stores.second
        assert breaker is not None
        permit = breaker.try_acquire()
        assert permit is not None
        breaker.failed(permit, StoreTransient("away"), refused=True)

    async def holds_up(self) -> bool:
        return self.stores.failing

    async def goes_on(self) -> bool:
        return not self.stores.failing

    def measured(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"audit_stream_{name}")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


async def test_behind_it_holds_up_only_from_the_bound_on(tmp_path: Path) -> None:
    process = Process(tmp_path)
    away = process.second.rename(tmp_path / "away")
    process.second.write_bytes(b"a file")
    process.open_breaker()
    assert process.health.ready().get(SECOND_READY) is None
    assert not process.stores.failing
    await process.stores.archive.put_if_absent("maps/a.json", b"x", {})
    assert process.measured("secondary_pending_objects") == 1
    assert not process.stores.failing
    await eventually(process.holds_up)
    assert (process.measured("secondary_lag_seconds") or 0) > 0.3
    process.second.unlink()
    away.rename(process.second)
    await eventually(process.goes_on)
    await process.stores.close()
    assert (process.second / "maps/a.json").read_bytes() == b"x"


@pytest.mark.parametrize(("mode", "strict"), [("before", False), ("behind", True)])
async def test_before_it_holds_up_at_once(tmp_path: Path, mode: str, strict: bool) -> None:
    """A notary is strict whatever the mode."""
    process = Process(tmp_path, strict=strict, secondary_mode=mode)
    assert process.health.ready()[SECOND_READY]
    process.open_breaker()
    assert process.stores.failing
    assert not process.health.ready()[SECOND_READY]
    sample = process.metrics.registry.get_sample_value(
        "audit_stream_breaker_open", {"target": SECOND}
    )
    assert sample == 1
    await process.stores.close()


async def test_without_a_second_store_there_is_none(tmp_path: Path) -> None:
    health, metrics = Health(), Metrics()
    stores = guarded_stores(Settings.load(None), AlarmBoard("test"), metrics, health)
    assert isinstance(stores.archive, ResilientStore)
    assert SECOND_READY not in health.ready()
    await stores.close()


def test_another_archive_that_a_flag_names_has_no_second_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ARCHIVE_SECONDARY", (tmp_path / "second").as_uri())
    assert Settings.load(None).archive_secondary is not None
    assert Settings.load(None, archive=tmp_path.as_uri()).archive_secondary is None


@pytest.mark.parametrize("second", ["archive", "archive/inside", ".", "archive-subjects", "x"])
def test_a_second_store_lies_apart(tmp_path: Path, second: str) -> None:
    archive = (tmp_path / "archive").as_uri()
    given = "ftp://x" if second == "x" else (tmp_path / second).as_uri()
    with pytest.raises(ConfigError):
        Settings.load(None, archive=archive, archive_secondary=given)


def test_its_retention_is_the_longest_classs(tmp_path: Path) -> None:
    settings = Settings.load(
        None, topics="a,b", regulatory_tags="b=LONG", retention="LONG=9y", retention_days=30,
        archives=f"LONG={(tmp_path / 'long').as_uri()}",
        archive_secondary=(tmp_path / "second").as_uri(),
    )  # fmt: skip
    assert settings.store_access().retention_days == 30
    assert settings.store_access("secondary").retention_days == 3288


async def test_it_is_one_store_for_whoever_writes(tmp_path: Path) -> None:
    process = Process(tmp_path)
    assert isinstance(process.stores.archive, MirroredStore)
    await process.stores.close()
