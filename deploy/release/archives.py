"""Archives in one form: sorted, with one time, one owner and fixed modes."""

from __future__ import annotations

import gzip
import tarfile
import time
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

_LEVEL = 9
_ZIP_BEGINS = 315_532_800  # 1980-01-01: a zip knows no earlier time


def normal_tar(path: Path, seconds: int) -> None:
    """Rewrite a `.tar.gz`; its times are `seconds`, its owner is nobody."""
    packed = BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    path.write_bytes(gzip.compress(packed.getvalue(), _LEVEL, mtime=0))


def normal_wheel(path: Path, seconds: int, *, needed: Sequence[str]) -> None:
    """Rewrite a wheel; `needed` are files that it must have. Raises LookupError without one."""
    packed = BytesIO()
    when = time.gmtime(max(seconds, _ZIP_BEGINS))[:6]
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w") as new:
        if missing := set(needed) - set(old.namelist()):
            raise LookupError(
                f"{path.name} lacks {', '.join(sorted(missing))}: install a C compiler and "
                "OpenSSL's headers"
            )
        for name in sorted(old.namelist(), key=_metadata_last):
            member = zipfile.ZipInfo(name, when)
            member.external_attr = 0o100644 << 16
            member.create_system = 3  # Unix, wherever it was built
            new.writestr(member, old.read(name), zipfile.ZIP_DEFLATED, _LEVEL)
    path.write_bytes(packed.getvalue())


def _metadata_last(name: str) -> tuple[bool, bool, str]:
    """The metadata at the end, where the format wants it, and RECORD behind all."""
    return ".dist-info/" in name, name.endswith(".dist-info/RECORD"), name
