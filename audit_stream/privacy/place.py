"""A place where personal data, or what links to persons, is or could be: the words of the map."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Form(Enum):
    """What lies in a place; the value is the word of the map."""

    CLEAR = "clear"  # names, ids, addresses, readable by whoever reads the place
    ENCRYPTED = "encrypted"  # readable only with a key that erasure destroys
    PSEUDONYMOUS = "pseudonymous"  # links to a person for who has another system or the keyring
    KEYS = "keys"  # no data, but what opens the encrypted
    NONE = "none"


class Group(Enum):
    """Headings of the map, in its order."""

    TOPICS = "Topics"
    ARCHIVE = "Archive: written once"
    SUBJECTS = "Subject store: rewritable"
    PROCESSES = "Folders of processes"
    KEYS = "Keys"
    SPOKEN = "What processes and commands say"
    FILES = "Files that people make"
    BEYOND = "Beyond our reach"


class Where(Enum):
    """How a place is found in an installation."""

    KIND = "topics of kind"  # `kind` of topics/*.yaml
    TOPIC = "topic"
    ARCHIVE = "archive, below"  # prefix of object names
    SUBJECTS = "subject store, below"  # prefix of object names
    SETTING = "setting"  # that names a file or folder; of the keyring, the folder it lies in
    SAID = "said"  # by a process or a command
    FILE = "file"  # made where a person wants it
    BEYOND = "beyond"


class At(NamedTuple):
    """One location of a place."""

    where: Where
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One row of the map; all but `name`, `form` and `at` are for people."""

    name: str
    group: Group
    form: Form
    at: tuple[At, ...]
    holds: str
    readers: str
    kept: str
    erasure: str


def kinds(*names: str) -> tuple[At, ...]:
    """Topics by their declared kind."""
    return tuple(At(Where.KIND, name) for name in names)


def topics(*names: str) -> tuple[At, ...]:
    """Topics of these names."""
    return tuple(At(Where.TOPIC, name) for name in names)


def archive(*prefixes: str) -> tuple[At, ...]:
    """Objects of the archive."""
    return tuple(At(Where.ARCHIVE, prefix) for prefix in prefixes)


def subjects(*prefixes: str) -> tuple[At, ...]:
    """Objects of the subject store."""
    return tuple(At(Where.SUBJECTS, prefix) for prefix in prefixes)


def settings(*fields: str) -> tuple[At, ...]:
    """Files and folders that settings name."""
    return tuple(At(Where.SETTING, field) for field in fields)


def said(*names: str) -> tuple[At, ...]:
    """What is said."""
    return tuple(At(Where.SAID, name) for name in names)


def files(*names: str) -> tuple[At, ...]:
    """Files of people."""
    return tuple(At(Where.FILE, name) for name in names)


def beyond(*names: str) -> tuple[At, ...]:
    """What no code of ours reaches."""
    return tuple(At(Where.BEYOND, name) for name in names)
