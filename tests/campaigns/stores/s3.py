"""S3: versitygw behind a proxy that fails when told, with an identity for each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, Hit, everywhere, one
from tests.campaigns.stores.base import Account, Store
from tests.support.s3_account import identity, set_up
from tests.support.s3_faults.process import ProxyProcess
from tests.support.versitygw import ROOT, S3Server, versitygw

_READER = "reader"
SCENARIOS = (
    *everywhere(rights="check the identity's", stranger="the answer is not S3's"),
    one("later", Hit(kind="busy", retry_after=1)),
    one("conflict", Hit(kind="conflict", method="PUT")),
    # Another identity, that may delete and overwrite: neither takes away what was stored first.
    one("marker", Hit(kind="marker", method="PUT", container=ARCHIVE), opens=(), whole=True),
    one("shadow", Hit(kind="shadow", method="PUT", container=ARCHIVE), opens=(), whole=True),
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
