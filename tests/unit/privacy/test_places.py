"""The map of personal data names what there is, and says of topics what their declarations say."""

from __future__ import annotations

import pytest

from audit_stream.evidence import layout, log_names
from audit_stream.kafka.topics import load_topic, topics_dir
from audit_stream.privacy.place import Form, Group, Where
from audit_stream.privacy.places import PLACES, place_at
from audit_stream.settings import Settings

FORM = {"personal": Form.CLEAR, "pseudonymous": Form.PSEUDONYMOUS, "none": Form.NONE}
TOPICS = [load_topic(path) for path in sorted(topics_dir().glob("*.yaml"))]
BROKERS_OWN = "__"
SEGMENT = layout.SegmentName("topic", 1, 2, 3)


def test_no_location_and_no_name_is_there_twice() -> None:
    locations = [at for place in PLACES for at in place.at]
    assert len(set(locations)) == len(locations)
    assert len({place.name for place in PLACES}) == len(PLACES)


def test_places_stand_by_groups_in_their_order() -> None:
    order = list(Group)
    assert [place.group for place in PLACES] == sorted(
        (place.group for place in PLACES), key=order.index
    )


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.topic)
def test_each_declared_topic_has_a_place_of_the_form_it_declares(topic: object) -> None:
    kind = topic.kind  # type: ignore[attr-defined]
    where, name = (Where.TOPIC, topic.topic) if kind == "own" else (Where.KIND, kind)  # type: ignore[attr-defined]
    place = place_at(where, name)
    assert place is not None
    assert place.form is FORM[topic.pii]  # type: ignore[attr-defined]


def test_no_place_is_of_a_topic_that_is_not_declared() -> None:
    names = {(Where.TOPIC, topic.topic) for topic in TOPICS if topic.kind == "own"}
    names |= {(Where.KIND, topic.kind) for topic in TOPICS if topic.kind != "own"}
    located = {
        at for place in PLACES for at in place.at
        if at.where in (Where.TOPIC, Where.KIND) and not at.name.startswith(BROKERS_OWN)
    }  # fmt: skip
    assert located == names


def test_settings_that_are_named_exist() -> None:
    named = {at.name for place in PLACES for at in place.at if at.where is Where.SETTING}
    assert named <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Where.ARCHIVE, str(SEGMENT)),
        (Where.ARCHIVE, layout.stream_name("topic", 1)),
        (Where.ARCHIVE, layout.map_name("0" * 64)),
        (Where.ARCHIVE, layout.canary_name("0.1.0")),
        (Where.ARCHIVE, log_names.batch_name(0)),
        (Where.ARCHIVE, log_names.tile_name(0, 1)),
        (Where.ARCHIVE, log_names.anchor_name(1, "tsa.tsr")),
        (Where.ARCHIVE, log_names.access_name("0" * 16, 0)),
        (Where.ARCHIVE, f"redactions/{0:020d}.json"),
        (Where.SUBJECTS, layout.subject_name(SEGMENT, bytes(32))),
        (Where.SUBJECTS, "private/requests/1"),
    ],
)
def test_every_object_has_a_place(where: Where, name: str) -> None:
    assert place_at(where, name) is not None


def test_what_the_map_lacks_has_no_place() -> None:
    assert place_at(Where.ARCHIVE, "people/1.json") is None
    assert place_at(Where.SUBJECTS, "segments/1") is None
    assert place_at(Where.TOPIC, "audit-quarantine-2") is None
