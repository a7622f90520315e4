"""The status map: the carrier's word -> terminal status, intermediate, or unmapped.

A versioned file (``topics/status-map.v1.json``), stored in the archive under its own hash before
its first use. Words are compared case- and separator-blind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
import orjson

from audit_stream.errors import ConfigError
from audit_stream.evidence.canonical import canonical
from audit_stream.precedence.matrix import STATUSES

VERSION = "audit-status-map/1"
INTERMEDIATE: Final = "intermediate"
#: Answers kept ready; a flood of invented words must not fill memory.
_CACHE_LIMIT = 4096
_SEPARATORS = re.compile(r"[\s._-]+")


def fold(word: str) -> str:
    """A status word without case and separators: ``Delivery-Success`` -> ``deliverysuccess``."""
    return _SEPARATORS.sub("", word).casefold()


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    statuses: list[str]
    reason: str
    delivery_status: str


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    v: str
    description: str
    terminal: dict[str, list[str]]
    intermediate: list[str]
    reasons: list[_Rule]


class StatusMap:
    """Looks a received status up; immutable apart from its bounded cache."""

    __slots__ = ("_by_reason", "_words", "answers", "canonical_bytes", "hash")

    def __init__(self, document: Mapping[str, Any]) -> None:
        typed = _checked(document)
        self.canonical_bytes = canonical(dict(document))
        self.hash = sha256(self.canonical_bytes).hexdigest()
        self._words: dict[str, str] = {fold(word): INTERMEDIATE for word in typed.intermediate}
        for status, words in typed.terminal.items():
            self._words.update({fold(word): status for word in words})
        self._by_reason: dict[tuple[str, str], str] = {
            (fold(word), fold(rule.reason)): rule.delivery_status
            for rule in typed.reasons
            for word in rule.statuses
        }
        #: What `look_up_plain` answered: for a status, or a status with its error code.
        self.answers: dict[str | tuple[str, str], str | None] = {}

    @classmethod
    def parse(cls, data: bytes) -> StatusMap:
        """A map from its file's bytes; `ConfigError` says what is wrong with it."""
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"the status map is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise ConfigError("the status map is not a JSON object")
        return cls(document)

    def look_up(self, status: str, event: Mapping[str, Any]) -> str | None:
        """The terminal status, `INTERMEDIATE`, or None when the word is not in the map.

        A reason given in the event (``error_code`` or ``reasons[].code``) can turn a word into
        another status: Genesys sends an expiry as Failed with the reason MessageExpired.
        """
        word = fold(status)
        found = self._words.get(word)
        if found is None or found is INTERMEDIATE or not self._by_reason:
            return found
        return self._by_reasons(word, event) or found

    def look_up_plain(self, status: str, error_code: str | None) -> str | None:
        """As `look_up`, of an event with this error code and no reasons; remembers the answer."""
        key = status if error_code is None else (status, error_code)
        try:
            return self.answers[key]
        except KeyError:
            found = self.look_up(status, {"error_code": error_code})
            if len(self.answers) < _CACHE_LIMIT:
                self.answers[key] = found
            return found

    def _by_reasons(self, word: str, event: Mapping[str, Any]) -> str | None:
        for code in _reason_codes(event):
            status = self._by_reason.get((word, fold(code)))
            if status is not None:
                return status
        return None


def _reason_codes(event: Mapping[str, Any]) -> Iterable[str]:
    if isinstance(event.get("error_code"), str):
        yield event["error_code"]
    reasons = event.get("reasons")
    for reason in reasons if isinstance(reasons, list) else ():
        if isinstance(reason, dict) and isinstance(reason.get("code"), str):
            yield reason["code"]


def _checked(document: Mapping[str, Any]) -> _Document:
    if document.get("v") != VERSION:
        raise ConfigError(f"the status map has v {document.get('v')!r}", hint=f"use {VERSION}")
    try:
        typed = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the status map is not as it must be: {error}") from error
    if set(typed.terminal) != set(STATUSES):
        raise ConfigError(f"the status map's terminal must name {', '.join(STATUSES)}")
    words = [fold(w) for ws in (*typed.terminal.values(), typed.intermediate) for w in ws]
    twice = {word for word in words if words.count(word) > 1}
    if twice:
        raise ConfigError(f"the status map has a word under two statuses: {sorted(twice)}")
    for rule in typed.reasons:
        if rule.delivery_status not in STATUSES:
            raise ConfigError(f"the status map maps to {rule.delivery_status!r}")
        if unknown := [w for w in rule.statuses if fold(w) not in words]:
            raise ConfigError(f"the status map has a reason for the unmapped words {unknown}")
    return typed
