"""Sessions of the pages: who came in with a token, under a random id that only the browser has.

They are in memory and go with the process. The token is not kept: who it stood for is, and each
request asks the door again, so a session ends when its token does.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from audit_stream.gateway.auth import Door
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.problems import Problem

IDLE_SECONDS, LONGEST_SECONDS = 15 * 60.0, 8 * 3600.0
SIGN_IN_AGAIN = "the session has ended; sign in again"
_MOST, _MOST_OF_ONE = 10_000, 20
_BYTES = 32


@dataclass(slots=True, kw_only=True)
class Session:
    """One browser that signed in; its repr shows no secret."""

    caller: Caller
    csrf: str = field(repr=False)  # stands in each form of the session's pages
    began: float
    seen: float

    def check_form(self, given: str) -> None:
        """`Problem` 403 unless a form came from a page of this session."""
        if not hmac.compare_digest(self.csrf.encode(), given.encode("utf-8", "replace")):
            raise Problem(403, "this form is not of your session; open the page again")


class Sessions:
    """All of a gateway. `clock` gives seconds since any moment."""

    def __init__(self, door: Door, clock: Callable[[], float] = time.monotonic) -> None:
        self._door, self._clock = door, clock
        self._sessions: dict[bytes, Session] = {}  # by the id's hash, the longest unseen first
        self._key = secrets.token_bytes(_BYTES)

    def begin(self, token: str, old: str | None) -> tuple[str, Session]:
        """A new session, whatever id the browser had before; `Problem` as `Door.admit`."""
        caller = self._door.admit(f"Bearer {token}")
        self.end(old)
        self._make_room(caller.id)
        name, now = secrets.token_urlsafe(_BYTES), self._clock()
        session = Session(
            caller=caller, csrf=secrets.token_urlsafe(_BYTES), began=now, seen=now
        )  # fmt: skip
        self._sessions[_digest(name)] = session
        return name, session

    def find(self, name: str | None) -> Session:
        """The session of an id; `Problem` 401 when there is none any more, 429, 503."""
        session = None if name is None else self._sessions.get(_digest(name))
        if name is None or session is None:
            raise Problem(401, SIGN_IN_AGAIN)
        if self._is_over(session):
            self.end(name)
            raise Problem(401, SIGN_IN_AGAIN)
        try:
            session.caller = self._door.again(session.caller)
        except Problem as problem:
            if problem.status == 401:
                self.end(name)
            raise
        self._sessions[_digest(name)] = self._sessions.pop(_digest(name))
        session.seen = self._clock()
        return session

    def end(self, name: str | None) -> None:
        """Forget a session, if there is one."""
        if name is not None:
            self._sessions.pop(_digest(name), None)

    def form_before(self, visitor: str) -> str:
        """What the sign-in form of a browser must hold: nobody else's page can know it."""
        return hmac.new(self._key, visitor.encode("utf-8", "replace"), sha256).hexdigest()

    def _is_over(self, session: Session) -> bool:
        now = self._clock()
        return now - session.seen >= IDLE_SECONDS or now - session.began >= LONGEST_SECONDS

    def _make_room(self, caller: str) -> None:
        """One token's sessions cannot push out another's, nor take all memory."""
        over = [name for name, each in self._sessions.items() if self._is_over(each)]
        for name in over:
            del self._sessions[name]
        own = [name for name, each in self._sessions.items() if each.caller.id == caller]
        if len(own) >= _MOST_OF_ONE:
            del self._sessions[own[0]]
        elif len(self._sessions) >= _MOST:
            raise Problem(503, "too many are signed in")


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "replace")).digest()
