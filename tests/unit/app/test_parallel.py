"""Jobs in processes: results in order, progress, errors, a stop, and no child left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from audit_stream.app.parallel import Channel, Throttle, run_jobs
from audit_stream.errors import ConfigError
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]


def double(job: int, channel: Channel) -> int:
    channel.told(job, 10)
    return 2 * job


def fail(job: int, channel: Channel) -> int:
    if job == 1:
        raise ConfigError("this one", hint="do that")
    channel.run(_long())
    return job


async def _long() -> None:
    await asyncio.sleep(60)


def run(work, jobs: list[int]) -> tuple[list[int], list[tuple[int, int, int]]]:
    told: list[tuple[int, int, int]] = []
    found = run_jobs(work, jobs, processes=2, log_level="INFO", told=told.append)
    return found, told


def test_results_come_in_the_order_of_the_jobs_and_progress_is_told() -> None:
    found, told = run(double, [3, 1, 2])
    assert found == [6, 2, 4]
    assert sorted(told) == [(0, 3, 10), (1, 1, 10), (2, 2, 10)]
    assert run(double, []) == ([], [])


def test_an_error_ends_the_others_and_keeps_its_hint() -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError, match="this one") as error:
        run(fail, [0, 1])
    assert error.value.hint == "do that"
    assert time.monotonic() - began < 30


def spill(job: int, channel: Channel) -> int:
    raise ValueError("".join(["jane", "@example.org"]))


def test_a_bug_is_told_where_it_was_and_quotes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="jane"):
        run(spill, [0])
    told = capfd.readouterr().err
    assert "a job failed" in told
    assert "in spill" in told
    assert "jane@" not in told


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from audit_stream.app.parallel import run_jobs

    def work(job, channel):
        import os
        Path(sys.argv[1], str(os.getpid())).touch()
        channel.run(wait())
        return channel.stopped

    async def wait():
        await asyncio.sleep(60)

    if __name__ == "__main__":
        print(run_jobs(work, [1, 2, 3], processes=2, log_level="INFO", told=print))
"""


@pytest.fixture
def parent(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    (tmp_path / "children").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "children")], stdout=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def children(tmp_path: Path) -> list[int]:
    async def there() -> bool:
        return len(list((tmp_path / "children").iterdir())) == 2

    await eventually(there, 60)
    return [int(path.name) for path in (tmp_path / "children").iterdir()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_every_job(parent, tmp_path: Path, number: signal.Signals) -> None:
    await children(tmp_path)
    parent.send_signal(number)
    out, _ = await asyncio.to_thread(parent.communicate, timeout=30)
    assert out.strip() == "[True, True, True]"
    assert parent.returncode == 0


async def test_a_child_ends_with_a_killed_parent(parent, tmp_path: Path) -> None:
    pids = await children(tmp_path)
    parent.kill()

    async def gone() -> bool:
        return not any(psutil.pid_exists(pid) for pid in pids)

    await eventually(gone, 30)


async def test_a_throttle_keeps_to_its_rate_on_average() -> None:
    throttle, began = Throttle(1000), time.monotonic()
    for _ in range(4):
        await throttle.spend(50)
    assert time.monotonic() - began >= 0.2
    await Throttle(None).spend(10**9)
