"""Integers as the verifiers of bundles have to read them: within 2^53, in their one spelling."""

from __future__ import annotations

_MOST = 2**53 - 1

#: Each with whether canonical JSON has it.
NUMBERS = {
    "0": True, "-1": True, f"{_MOST}": True, f"-{_MOST}": True, f"{_MOST + 1}": False,
    f"-{_MOST + 1}": False, "-0": False, "01": False, "1.0": False, "1e3": False,
    f"{10**17}": False, f"-{10**17}": False,
}  # fmt: skip
