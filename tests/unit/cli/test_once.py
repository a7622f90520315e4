"""What ends by itself runs beside the service that has the web port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from tests.support import golden
from tests.support.delivering import Delivering, expected
from tests.support.siem import siem

pytestmark = pytest.mark.timeout(120)
_WRONG_USE = 2


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The web port of the settings, which another process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("AUDIT_WEB_PORT", str(port))
        yield port


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden archive, whose log is not begun."""
    monkeypatch.setenv("AUDIT_ALLOW_ASSURANCE", "mutable")
    return golden.in_settings(tmp_path / "g", monkeypatch)


def test_a_batch_is_logged_beside_a_notary(archive: Path, taken: int) -> None:
    assert run_command(["notary", "--once"]) == 0
    assert list((archive / "log").glob("*.json"))


def test_a_port_that_was_asked_for_is_served_and_must_be_free(
    archive: Path, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["notary", "--once", "--web-port", str(taken)]) == _WRONG_USE
    assert "AUDIT_WEB_PORT" in capsys.readouterr().err
    assert run_command(["notary", "--once", "--web-port", "0"]) == 0


def test_what_is_stored_is_delivered_beside_a_deliverer(tmp_path: Path, taken: int) -> None:
    with siem(tmp_path / "siem") as server:
        place = Delivering(tmp_path, server, {"AUDIT_WEB_PORT": str(taken)})
        place.once()
        assert server.keys() == expected()
        refused = place.run("siem", "--once", "--web-port", str(taken))
        assert refused.returncode == _WRONG_USE
        assert "AUDIT_WEB_PORT" in refused.stderr
