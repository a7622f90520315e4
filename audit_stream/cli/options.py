"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Rate = Annotated[int | None, typer.Option(min=1, help="Raw records a second at most, in all.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Partitions at a time.", show_default="processors")
]
#: Of a command with --once, which may run beside the service that has the settings' port.
WebPort = Annotated[
    int | None,
    typer.Option(help="Port of /metrics, /healthz, /readyz; with --once only where it is given."),
]
LogKey = Annotated[
    str | None, typer.Option("--log-key", help="The archive log's public key (name+id+base64).")
]
KeyringPath = Annotated[Path | None, typer.Option("--path", help="Keyring file (AUDIT_KEYRING).")]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask the archive.")]
