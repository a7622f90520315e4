"""How the settings say that S3 is reached, and that no secret shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_stream.errors import ConfigError
from audit_stream.settings import Settings
from audit_stream.stores.s3_target import S3Target

SECRET = "c2VjcmV0LWtleQ"
KEY = {"s3_access_key_id": "AKID", "s3_secret_access_key": SECRET}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(**flags: Any) -> Settings:
    return Settings.load(**{"archive": "s3://arch", "subjects": "s3://arch-subjects", **flags})


def test_the_archive_may_be_a_bucket() -> None:
    place = load().archive_place
    assert isinstance(place, S3Target)
    assert place.url == "s3://arch"
    assert Settings.load(archive="s3://arch").subjects == "s3://arch-subjects"


def test_the_subjects_have_a_bucket_of_their_own() -> None:
    with pytest.raises(ConfigError, match="must lie outside"):
        load(subjects="s3://arch/")


def test_without_a_key_the_sdk_looks_for_a_role() -> None:
    access = load(s3_region="eu-central-1", s3_profile="audit").s3_access()
    assert (access.keys, access.region, access.profile) == (None, "eu-central-1", "audit")


def test_a_secret_in_a_file_is_read_again_at_each_use() -> None:
    Path("secret").write_text("one\n")
    access = load(s3_access_key_id="AKID", s3_secret_access_key_file="secret").s3_access()
    assert access.keys is not None
    assert access.keys().secret == "one"
    Path("secret").write_text("two\n")
    assert access.keys().secret == "two"


@pytest.mark.parametrize("role", ["subjects", "secondary"])
def test_another_role_has_what_is_its_own_and_the_rest_of_the_archives(role: Any) -> None:
    both = load(**KEY, s3_region="eu-central-1", s3_session_token="t")
    keys = both.s3_access(role).keys
    assert keys is not None
    assert (keys().key_id, keys().secret, keys().token) == ("AKID", SECRET, "t")
    own = {
        f"s3_{role}_access_key_id": "OTHER", f"s3_{role}_secret_access_key": "its",
        f"s3_{role}_region": "us-east-2", f"s3_{role}_endpoint": "https://s3.example",
    }  # fmt: skip
    apart = load(**KEY, **own, s3_region="eu-central-1", s3_session_token="t")
    access = apart.s3_access(role)
    assert access.keys is not None
    # The token belongs to the archive's key and to no other.
    assert (access.keys().key_id, access.keys().secret, access.keys().token) == (
        "OTHER", "its", None,
    )  # fmt: skip
    assert (access.region, access.endpoint) == ("us-east-2", "https://s3.example")
    assert apart.s3_access().region == "eu-central-1"


def test_a_profile_of_its_own_takes_the_place_of_the_archives_key() -> None:
    access = load(**KEY, s3_subjects_profile="keeper").s3_access("subjects")
    assert (access.keys, access.profile) == (None, "keeper")


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        ({"s3_access_key_id": "AKID"}, "AUDIT_S3_SECRET_ACCESS_KEY"),
        ({"s3_secret_access_key": SECRET}, "AUDIT_S3_ACCESS_KEY_ID"),
        ({**KEY, "s3_profile": "x"}, "AUDIT_S3_PROFILE"),
    ],
)
def test_half_a_key_or_two_ways_are_refused_by_name(flags: dict[str, str], setting: str) -> None:
    with pytest.raises(ConfigError, match=f"^{setting}: ") as caught:
        load(**flags).s3_access()
    assert caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["s3_endpoint", "s3_subjects_endpoint", "s3_secondary_endpoint"])
@pytest.mark.parametrize("value", ["s3.example", "https://key:c2VjcmV0@s3.example"])
def test_an_endpoint_is_a_url_and_no_credential(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match="must be a") as caught:
        load(**{name: value})
    assert "c2VjcmV0" not in str(caught.value)


def test_no_secret_shows() -> None:
    settings = load(**KEY, s3_session_token=SECRET)
    assert SECRET not in str(settings.as_table())
    assert SECRET not in repr(settings)
    access = settings.s3_access()
    assert access.keys is not None
    assert SECRET not in repr(access) + repr(access.keys())


@pytest.mark.parametrize("role", ["archive", "subjects", "secondary"])
def test_the_way_to_every_store_is_one_call(role: Any) -> None:
    tags = {"retention": "CALLS=10y", "archives": "CALLS=s3://calls"}
    settings = load(**tags, regulatory_tags="outbound_voice_status_update=CALLS", **KEY)
    access = settings.store_access(role)
    assert access.s3.keys is not None
    # The second store takes every class, and keeps each for the longest time.
    assert access.retention_days == (3653 if role == "secondary" else 2557)
    assert settings.store_access(tag="CALLS").retention_days == 3653
