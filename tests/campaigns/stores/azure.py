"""Azure: the write-once double, with an identity for each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, TOO_LONG, Hit, Scenario, one
from tests.campaigns.stores.base import Account, Store
from tests.support.blobs.process import BlobProcess

_RIGHTS = "check the identity's role"
SCENARIOS = (
    one("drop_before"),
    one("drop_after"),
    one("busy"),
    one("timeout"),
    one("throttle"),
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
    one("forbidden", refuses=True, hint=_RIGHTS),
    one("missing", Hit(kind="missing", method="PUT"), refuses=True, hint="check AUDIT_ARCHIVE"),
    one("proxy_403", refuses=True, hint="a proxy or a firewall's SNI list refused"),
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
def account(_: Path, workers: list[str]) -> Iterator[Account]:
    """A double with the two containers, and an identity for each worker and for who reads."""
    with BlobProcess() as double:
        double.tell("containers", name=ARCHIVE, kind="clw", days=2557)
        double.tell("containers", name=SUBJECTS)
        for name in workers:
            double.tell("identities", sas=name, rights="rlac")
        double.tell("identities", sas="reader", rights="rl")
        yield Account(
            server=double,
            shared={
                "AUDIT_ARCHIVE": f"azure://devaccount/{ARCHIVE}",
                "AUDIT_SUBJECTS": f"azure://devaccount/{SUBJECTS}",
                "AUDIT_AZURE_ENDPOINT": double.endpoint,
            },
            worker=lambda name: {"AUDIT_AZURE_SAS": f"sig={name}"},
            reader={"AUDIT_AZURE_SAS": "sig=reader"},
        )


AZURE = Store("azure", SCENARIOS, account)
