"""What IAM says to a request: the evaluation of policies within one account, as far as ours go.

After "Policy evaluation logic" and "IAM JSON policy elements: Condition operators" of the IAM User
Guide. An element or operator that is not known here is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]


def like(text: str, pattern: str) -> bool:
    """`*` is any number of characters, slashes too, and `?` one."""
    parts = {"*": ".*", "?": "."}
    found = "".join(parts.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(found, text, re.S) is not None


_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}
#: Each on one value that the request has and one of the policy.
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "Bool": lambda has, said: has.lower() == said.lower(),
    "StringEquals": lambda has, said: has == said,
    "NumericLessThan": lambda has, said: float(has) < float(said),
    "ArnEquals": like,
}


@dataclass(frozen=True)
class Request:
    """One request; `keys` are its condition keys. Over TLS 1.3 unless they say otherwise."""

    action: str
    resource: str
    principal: str = ""  # ARN of the role or user; of a service its name
    keys: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str | None:
        """The value of a condition key, or None when the request has none."""
        given = {
            "aws:securetransport": "true", "s3:tlsversion": "1.3",
            "aws:principalarn": self.principal,
        } | {key.lower(): value for key, value in self.keys.items()}  # fmt: skip
        return given.get(name.lower())


def refusals(statements: Iterable[Statement], request: Request) -> set[str]:
    """The `Sid` of each statement that denies the request."""
    return {each["Sid"] for each in statements if each["Effect"] == "Deny" and _fits(each, request)}


def allowed(request: Request, identity: Iterable[Statement], resource: Iterable[Statement]) -> bool:
    """Whether a principal of the account may, by its own policies and the resource's."""
    both = [*identity, *resource]
    if refusals(both, request):
        return False
    return any(each["Effect"] == "Allow" and _fits(each, request) for each in both)


def listed(value: str | list[str]) -> list[str]:
    """One or several, as policies may have either."""
    return [value] if isinstance(value, str) else value


def _fits(statement: Statement, request: Request) -> bool:
    assert set(statement) <= _ELEMENTS, statement
    return (
        _is_named(statement.get("Principal", "*"), request)
        and any(like(request.action.lower(), each.lower()) for each in listed(statement["Action"]))
        and _is_meant(statement, request.resource)
        and all(
            _holds(operator, request.key(key), listed(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _is_named(principal: str | Mapping[str, Any], request: Request) -> bool:
    if isinstance(principal, str):
        return principal == "*"
    return any(request.principal in listed(each) for each in principal.values())


def _is_meant(statement: Statement, resource: str) -> bool:
    wanted = "NotResource" not in statement
    patterns = listed(statement["Resource" if wanted else "NotResource"])
    return any(like(resource, each) for each in patterns) is wanted


def _holds(operator: str, has: str | None, said: list[str]) -> bool:
    """A key that is missing fits an operator that negates, and no other."""
    if operator == "Null":
        return any((has is None) == (each == "true") for each in said)
    positive = operator.replace("NotEquals", "Equals")
    found = has is not None and any(_OPERATORS[positive](has, each) for each in said)
    return found if positive == operator else not found
