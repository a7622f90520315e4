"""The bearer token: one that stays, or a JWT in a file that somebody rotates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from audit_stream.errors import StoreRefused

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch  # b64token (RFC 6750 2.1)
_HINT = "it holds the token and nothing else; see AUDIT_DELIVERY_TOKEN_FILE"


class Token(Protocol):
    """What stands behind ``Authorization: Bearer``."""

    def current(self) -> str:
        """The token now. `StoreRefused` when there is none to be had."""
        ...

    def renewed(self, refused: str) -> bool:
        """Whether there is another one than that which the receiver refused."""
        ...


def is_token(text: str) -> bool:
    """Whether it can stand in the header: RFC 6750's b64token."""
    return _TOKEN(text) is not None


class StaticToken:
    """One that stays."""

    def __init__(self, text: str) -> None:
        self._text = text

    def current(self) -> str:
        """See `Token`."""
        return self._text

    def renewed(self, refused: str) -> bool:
        """See `Token`."""
        return self._text != refused


class FileToken:
    """Read again whenever the file changes, and whenever its token was refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._text = ""

    def current(self) -> str:
        """See `Token`."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._text, self._stamp = self._path.read_text("ascii").strip(), stamp
        except OSError as error:
            raise StoreRefused(
                f"cannot read the token's file {self._path}: {error.strerror}", hint=_HINT
            ) from None
        except UnicodeDecodeError:
            self._text = ""
        if not is_token(self._text):
            self._stamp = None
            raise StoreRefused(f"{self._path} holds no bearer token", hint=_HINT)
        return self._text

    def renewed(self, refused: str) -> bool:
        """See `Token`."""
        self._stamp = None  # a file system may keep times too coarsely to tell
        return self.current() != refused
