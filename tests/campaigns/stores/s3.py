"""S3: versitygw behind a proxy that fails when told, with an identity for each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, TOO_LONG, Hit, Scenario, one
from tests.campaigns.stores.base import Account, Store
from tests.support.s3_account import identity, set_up
from tests.support.s3_faults.process import ProxyProcess
from tests.support.versitygw import ROOT, S3Server, versitygw

_READER = "reader"
_RIGHTS = "check the identity's"
SCENARIOS = (
    one("drop_before"),
    one("drop_after"),
    one("busy"),
    one("timeout"),
    one("throttle"),
    one("later", Hit(kind="busy", retry_after=1)),
    one("conflict", Hit(kind="conflict", method="PUT")),
    one("twin", Hit(kind="twin", method="PUT"), opens=(), whole=True),
    one("rival", Hit(kind="rival", method="PUT", container=ARCHIVE), opens=()),
    one("bit_flip", Hit(kind="bit_flip", method="PUT")),
    # In doubt, and the question that would settle it fails as well, half of the time.
    Scenario(
        name="head_busy",
        hits=(
            Hit(kind="drop_after", method="PUT"),
            Hit(kind="busy", method="HEAD", part=2.5),
            Hit(kind="busy", method="GET"),
        ),
    ),
    # Another identity, that may delete and overwrite: neither takes away what was stored first.
    one("marker", Hit(kind="marker", method="PUT", container=ARCHIVE), opens=(), whole=True),
    one("shadow", Hit(kind="shadow", method="PUT", container=ARCHIVE), opens=(), whole=True),
    one("forbidden", refuses=True, hint=_RIGHTS),
    one("missing", Hit(kind="missing", method="PUT"), refuses=True, hint="check AUDIT_ARCHIVE"),
    one("proxy_403", refuses=True, hint="the answer is not S3's"),
    one("cut_body", Hit(kind="cut_body", method="GET"), opens=("archive",)),
    one(
        "slow_body",
        Hit(kind="slow_body", method="GET", hold_seconds=TOO_LONG),
        opens=("archive",),
    ),
    one("stall", Hit(kind="stall", method="PUT", hold_seconds=TOO_LONG)),
    # Stored, and found to be: a lost answer alone is settled at once.
    one("stall_after", Hit(kind="stall_after", method="PUT", hold_seconds=TOO_LONG), opens=()),
    one("late", Hit(kind="late", method="PUT", hold_seconds=TOO_LONG)),
)


@contextmanager
def account(folder: Path, workers: list[str]) -> Iterator[Account]:
    """A server with the two buckets, the proxy before it, and what each identity may do."""
    with versitygw(folder / "s3") as server:
        identities = {name: identity(server, name) for name in (*workers, _READER)}
        set_up(server, ARCHIVE, SUBJECTS, workers, _READER)
        with ProxyProcess(server.url, ROOT) as proxy:
            before = S3Server(proxy.url)
            yield Account(
                server=proxy,
                shared={"AUDIT_ARCHIVE": f"s3://{ARCHIVE}", "AUDIT_SUBJECTS": f"s3://{SUBJECTS}"},
                worker=lambda name: before.settings(identities[name]),
                reader=before.settings(identities[_READER]),
            )


S3 = Store("s3", SCENARIOS, account)
