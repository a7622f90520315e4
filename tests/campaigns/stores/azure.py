"""Azure: the write-once double, with an identity for each worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, everywhere
from tests.campaigns.stores.base import Account, Store
from tests.support.blobs.process import BlobProcess

SCENARIOS = everywhere(
    rights="check the identity's role", stranger="a proxy or a firewall's SNI list refused"
)


#: Rights of an identity: of who writes the archive, and of who reads it.
WRITER, READER = "rlac", "rl"


@contextmanager
def double(rights: Mapping[str, str], reader: str) -> Iterator[Account]:
    """A double with the two containers, and identities with these rights; `reader` is whose the
    commands are."""
    with BlobProcess() as server:
        server.tell("containers", name=ARCHIVE, kind="clw", days=2557)
        server.tell("containers", name=SUBJECTS)
        for name, of_it in rights.items():
            server.tell("identities", sas=name, rights=of_it)
        yield Account(
            server=server,
            shared={
                "AUDIT_ARCHIVE": f"azure://devaccount/{ARCHIVE}",
                "AUDIT_SUBJECTS": f"azure://devaccount/{SUBJECTS}",
                "AUDIT_AZURE_ENDPOINT": server.endpoint,
            },
            worker=lambda name: {"AUDIT_AZURE_SAS": f"sig={name}"},
            reader={"AUDIT_AZURE_SAS": f"sig={reader}"},
        )


def account(_: Path, workers: list[str]) -> AbstractContextManager[Account]:
    """An identity for each worker and for who reads."""
    return double({**dict.fromkeys(workers, WRITER), "reader": READER}, "reader")


AZURE = Store("azure", SCENARIOS, account)
