"""The forms in which systems write one phone number or one e-mail address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_PREFIX = re.compile(r"(?:tel|sms|mms|rcs|sip|whatsapp|viber|mailto|email)\s*:\s*(?://)?", re.I)
_SCHEMES: Final = ("tel:", "sms:", "whatsapp:")
_PHONE = re.compile(r"(?P<plus>\+|00)?\(?[0-9][0-9\s./()\u2010-\u2015-]{4,30}", re.ASCII)
_MIN_DIGITS, _MAX_DIGITS = 7, 15  # E.164 has 15 at most
#: Country codes of one and two digits (ITU-T E.164); all others have three.
_ONE: Final = ("1", "7")
_TWO: Final = re.compile(r"20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
_AREA: Final = (3, 2, 4)  # lengths of an area code behind which people put a space
_BRACKETED = re.compile(r".*<(?P<address>[^<>\s]+@[^<>\s]+)>\s*", re.DOTALL)
_ADDRESS = re.compile(r"(?P<local>[^\s<>]+)@(?P<domain>[^\s<>@]+)")
_PUNYCODE: Final = "xn--"


def without_prefix(text: str) -> str:
    """Without ``whatsapp:``, ``tel:``, ``mailto:`` or the like."""
    match = _PREFIX.match(text.lstrip())
    return text.lstrip()[match.end() :] if match else text


def phone_forms(text: str) -> Iterator[str]:
    """International, national and plain forms; nothing if it does not look like a phone number.

    One that begins with a single 0 does not say its country: it gets no international form.
    """
    match = _PHONE.fullmatch(without_prefix(text).strip())
    if match is None:
        return
    plain = re.sub(r"\(0\)", "", match[0]) if match["plus"] else match[0]  # +49 (0)151
    digits = re.sub(r"[^0-9]", "", plain).removeprefix("00" if match["plus"] == "00" else "")
    if not _MIN_DIGITS <= len(digits) <= _MAX_DIGITS:
        return
    if match["plus"] or not digits.startswith("0"):
        yield from _international(digits)
    else:
        yield digits
        yield from _spaced("", digits[1:], "0")


def _international(digits: str) -> Iterator[str]:
    yield f"+{digits}"
    yield f"00{digits}"
    yield digits
    for scheme in _SCHEMES:
        yield f"{scheme}+{digits}"
        yield f"{scheme}{digits}"
    size = 1 if digits.startswith(_ONE) else 2 if _TWO.match(digits) else 3
    country, rest = digits[:size], digits[size:]
    yield f"0{rest}"
    yield rest
    yield f"+{country} {rest}"
    yield f"+{country}-{rest}"
    yield f"+{country}(0){rest}"
    yield f"+{country} (0){rest}"
    yield from _spaced(f"+{country} ", rest, "")
    yield from _spaced("", rest, "0")


def _spaced(country: str, rest: str, trunk: str) -> Iterator[str]:
    """With a mark behind the area code, whose length is not known."""
    for size in _AREA:
        area, number = rest[:size], rest[size:]
        for mark in (" ", "-", "/", "."):
            yield f"{country}{trunk}{area}{mark}{number}"
        yield f"{country}({trunk}{area}) {number}"


def email_forms(text: str) -> Iterator[str]:
    """The bare address, its parts in other case, its domain in and out of Punycode, as a link."""
    bracketed = _BRACKETED.fullmatch(text)
    bare = bracketed["address"] if bracketed else without_prefix(text).strip().strip("<>")
    match = _ADDRESS.fullmatch(bare)
    if match is None:
        return
    local, domain = match["local"], match["domain"]
    yield bare
    yield f"{local}@{domain.lower()}"
    yield f"{local.lower()}@{domain.lower()}"
    yield f"{local.lower()}@{domain}"
    for name in _domains(domain.lower()):
        yield f"{local}@{name}"
        yield f"{local.lower()}@{name}"
    yield f"{local.upper()}@{domain.upper()}"
    yield f"mailto:{bare}"
    yield f"<{bare}>"


def _domains(domain: str) -> Iterator[str]:
    """A domain's other form by IDNA 2003, which maps ß to ss, and by 2008, which keeps it."""
    labels = domain.split(".")
    for forms in (map(_decoded, labels), map(_encoded, labels), map(_mapped, labels)):
        name = ".".join(forms)
        if name != domain:
            yield name


def _decoded(label: str) -> str:
    if not label.startswith(_PUNYCODE):
        return label
    try:
        return label.removeprefix(_PUNYCODE).encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError, ValueError):
        return label


def _encoded(label: str) -> str:
    return label if label.isascii() else _PUNYCODE + label.encode("punycode").decode("ascii")


def _mapped(label: str) -> str:
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:  # too long, or a character that no name has
        return label
