"""A visitor of the pages who sends forms as a browser does, without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.support.asking import LIMIT_SECONDS

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Form:
    """A form of a page: where it goes, and the fields that are filled in already."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "form":
            self.forms.append(Form(found["action"]))
        elif tag == "input" and self.forms and found.get("name"):
            self.forms[-1].fields[found["name"]] = found.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(page: httpx.Response) -> _Forms:
    parser = _Forms()
    parser.feed(page.text)
    return parser


def forms(page: httpx.Response, action: str) -> list[Form]:
    """The forms of a page that go there, in order."""
    return [each for each in _parsed(page).forms if each.action == action]


def tags(page: httpx.Response) -> list[tuple[str, dict[str, str | None]]]:
    """Every element with its attributes."""
    return _parsed(page).tags


def text_of(page: httpx.Response) -> str:
    """What can be read, with single blanks."""
    return " ".join(" ".join(_parsed(page).text).split())


class Visitor:
    """One browser: its cookies, and what it says of itself."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=LIMIT_SECONDS, headers=SAME_ORIGIN)

    def bring_session(self, name: str) -> None:
        """Have a session's cookie from somewhere else."""
        self.client.cookies.set("audit-session", name, domain="127.0.0.1", path="/")

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(path, params=query or None)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.client.post(path, data=fields, headers=headers)

    def submit(self, page: httpx.Response, action: str, **values: str) -> httpx.Response:
        """The page's first form that goes there, with these values."""
        form = forms(page, action)[0]
        return self.post(action, {**form.fields, **values})

    def sign_in(self, token: dict[str, str] | str) -> httpx.Response:
        """With a token or a header that holds one; gives the first page."""
        secret = token if isinstance(token, str) else token["Authorization"].split()[1]
        answer = self.submit(self.get("/sign-in"), "/sign-in", token=secret)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "/"
        return self.get("/")

    def look_up(self, **ids: str) -> httpx.Response:
        return self.submit(self.get("/"), "/look-up", **ids)
