"""Two persons are two: what one asks for, another approves. Only their ids tell them apart."""

from __future__ import annotations

from audit_stream.errors import RequestError


def is_one_person(one: str, other: str) -> bool:
    """Whether two ids are taken for one person's: also when they differ in case, or in the space
    around them, alone."""
    return one.strip().casefold() == other.strip().casefold()


def check_second_person(by: str, first: str, what: str) -> None:
    """`RequestError` when who acts is the first person, who filed `what`."""
    if is_one_person(by, first):
        raise RequestError(f"{first} filed {what}", hint="a second person must approve it")
