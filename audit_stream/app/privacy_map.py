"""The map of personal data, filled in for one installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit_stream.errors import BrokerError
from audit_stream.kafka.ask import topic_configs
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.retention import Retention, Standing, retention_of, unasked
from audit_stream.kafka.topics import Topic, load_topics
from audit_stream.privacy.place import At, Place, Where
from audit_stream.privacy.places import PLACES
from audit_stream.settings import Settings

#: Settings that say nothing of their own where they are not set, and what says it then.
_WORKED_OUT = {"delivery_positions": "positions_url"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A place, where it is here, and how long each of its topics keeps what it holds."""

    place: Place
    where: tuple[str, ...]
    retentions: tuple[Retention, ...]


async def privacy_map(settings: Settings, *, ask: bool) -> list[Located]:
    """Every place, in the map's order; with `ask` the broker says which retentions are in force."""
    declared = declared_topics(settings)
    retentions = await _retentions(settings, declared) if ask else _unasked(declared)
    return [
        Located(
            place=place,
            where=tuple(text for at in place.at for text in _where(settings, declared, at)),
            retentions=tuple(
                retentions[topic.topic] for at in place.at for topic in _topics(declared, at)
            ),
        )
        for place in PLACES
    ]


def declared_topics(settings: Settings) -> Sequence[Topic]:
    """Every topic of this installation."""
    return load_topics(
        raw_topics=settings.topics, rekey_topics=settings.rekey_topics, app_id=settings.app_id
    )


async def _retentions(settings: Settings, declared: Sequence[Topic]) -> Mapping[str, Retention]:
    connection = KafkaConnection.from_settings(settings)
    try:
        found = await topic_configs(connection, [topic.topic for topic in declared])
    except BrokerError:
        return _unasked(declared, Standing.UNREACHABLE)
    return {each.topic: retention_of(each, found.get(each.topic)) for each in declared}


def _unasked(
    declared: Sequence[Topic], standing: Standing = Standing.NOT_ASKED
) -> Mapping[str, Retention]:
    return {topic.topic: unasked(topic, standing) for topic in declared}


def _topics(declared: Sequence[Topic], at: At) -> list[Topic]:
    if at.where is Where.KIND:
        return [topic for topic in declared if topic.kind == at.name]
    return [topic for topic in declared if at == (Where.TOPIC, topic.topic)]


def _where(settings: Settings, declared: Sequence[Topic], at: At) -> list[str]:
    match at.where:
        case Where.KIND | Where.TOPIC:
            return [topic.topic for topic in _topics(declared, at)]
        case Where.ARCHIVE:
            return [f"{settings.archive.rstrip('/')}/{at.name}"]
        case Where.SUBJECTS:
            return [f"{settings.subjects.rstrip('/')}/{at.name}"]
        case Where.SETTING:
            return [str(getattr(settings, _WORKED_OUT.get(at.name, at.name)))]
        case _:
            return [at.name]
