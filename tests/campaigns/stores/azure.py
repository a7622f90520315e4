"""Azure: the write-once double, with an identity for each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, everywhere
from tests.campaigns.stores.base import Account, Store
from tests.support.blobs.process import BlobProcess

SCENARIOS = everywhere(
    rights="check the identity's role", stranger="a proxy or a firewall's SNI list refused"
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
