"""From templates to responses: HTML with its headers, the style sheet, the CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from audit_stream import __version__
from audit_stream.evidence.ledger import MEANING
from audit_stream.gateway.pages import words
from audit_stream.gateway.pages.completeness import STATES
from audit_stream.index.counts import date_of

_FOLDER = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    # With no referrer at all a browser would send forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        version=__version__, dispositions=list(MEANING.values()), cell_states=STATES,
        status_words=words.STATUS,
    )  # fmt: skip
    made.filters.update(
        moment=words.moment, moment_ms=words.moment_ms, number=words.number, span=words.span,
        channel=words.channel, day=words.day, date_of=date_of,
    )  # fmt: skip
    return made


_TEMPLATES = _environment()
STYLE = (_FOLDER / "style.css").read_bytes()


def html(template: str, status: int = 200, **values: Any) -> Response:
    """A page. Everything in it is escaped."""
    text = _TEMPLATES.get_template(f"{template}.html").render(**values)
    return Response(text, status, headers=HEADERS, media_type="text/html")


def style() -> Response:
    """The one style sheet; no page has any other style, or any script."""
    return Response(STYLE, headers=HEADERS, media_type="text/css")


def csv_file(data: bytes, name: str) -> Response:
    """A table to keep."""
    return Response(data, media_type="text/csv", headers={
        "Content-Disposition": f'attachment; filename="{name}"',
    })  # fmt: skip
