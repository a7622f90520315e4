"""Make the containers named on the command line in the emulator. On Azure, deploy/azure does it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient


def main(names: list[str]) -> None:
    """A container that is there already is left as it is."""
    secret = Path(os.environ["AUDIT_AZURE_CONNECTION_STRING_FILE"])
    with BlobServiceClient.from_connection_string(secret.read_text("utf-8").strip()) as service:
        for name in names:
            with suppress(ResourceExistsError):
                service.create_container(name)
            print(f"container {name} is there")


if __name__ == "__main__":
    main(sys.argv[1:])
