"""A double in a process of its own, started and spoken to by a test.

with BlobProcess() as double:
    double.tell("containers", name="audit", kind="clw", days=2557)
    double.tell("identities", sas="worker-0", rights="rlac")
    double.tell("faults", kind="drop_after", share=0.2, seed=7)
    worker = ...  # AUDIT_AZURE_ENDPOINT=double.endpoint, AUDIT_AZURE_SAS=sig=worker-0
    double.ask("counters")["seconds"]["worker-0"]
"""

from __future__ import annotations

from tests.support.faulty.process import FaultyProcess


class BlobProcess(FaultyProcess):
    """The double, while the `with` lasts; `arguments` are those of ``tests.support.blobs``."""

    module = "tests.support.blobs"

    @property
    def endpoint(self) -> str:
        """What AUDIT_AZURE_ENDPOINT wants, for any account of the double."""
        return self.places["root"] + "/{account}"
