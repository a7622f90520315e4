"""Where personal data lies."""

from __future__ import annotations

from itertools import groupby

from audit_stream.kafka.retention import FOR_EVER, Standing, unasked
from audit_stream.kafka.topics import load_topic, topics_dir
from audit_stream.privacy.place import At, Where
from audit_stream.privacy.places import PLACES
from audit_stream.settings import env_name
from docs.generator.markdown import table

_HEAD = """# Personal data

Every place where personal data of a recipient, or what links to one, is or could be. `audit-stream
privacy map` says the same of your installation, with the retentions in force. A test plants known
persons, runs everything there is, and finds them nowhere but in the places that are *clear* here;
what no row names fails it. How to use it: [personal data](../how-to/personal-data.md).

- **clear**: readable by whoever reads the place.
- **encrypted**: readable with a key only, which an erasure destroys.
- **pseudonymous**: leads to a person for who has another system, or the keyring and a guess.
- **keys**: no data, but what opens the encrypted.
- **none**: neither.
"""


def page() -> str:
    """The map of places."""
    parts = [_HEAD]
    for group, places in groupby(PLACES, key=lambda place: place.group):
        rows = [
            [f"**{place.name}**: {'; '.join(map(_location, place.at))}", place.form.value,
             place.holds, place.readers, place.kept, place.erasure]
            for place in places
        ]  # fmt: skip
        heads = ["place", "form", "holds", "who reads it", "kept", "what erasure does"]
        parts.append(f"\n## {group.value}\n\n" + table(heads, rows))
    parts.append("\n## Retention of topics, as declared\n\n" + _retentions())
    return "".join(parts)


def _location(at: At) -> str:
    name = env_name(at.name) if at.where is Where.SETTING else at.name
    return f"{at.where.value} `{name}`" if at.where in _SPELLED else name


_SPELLED = frozenset(Where) - {Where.SAID, Where.FILE, Where.BEYOND}


def _retentions() -> str:
    files = sorted(topics_dir().glob("*.yaml"))
    rows = []
    for topic in map(load_topic, files):
        kept = unasked(topic, Standing.NOT_ASKED).declared_ms
        days = (
            "for ever (the last of each key)" if kept == FOR_EVER else f"{kept // 86_400_000} days"
        )
        rows.append([f"`{topic.topic}`", topic.pii, days])
    return table(["topic", "declared `pii`", "kept"], rows)
