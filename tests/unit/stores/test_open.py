"""URLs of the settings to stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.errors import ConfigError
from audit_stream.ports import PutResult
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_subjects import AzureSubjectStore
from audit_stream.stores.file import FileStore
from audit_stream.stores.open import open_store, open_subjects, place_of
from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_subjects import S3SubjectStore


async def test_a_file_url_opens_a_folder(tmp_path: Path) -> None:
    url = (tmp_path / "an archive#1").as_uri()
    store = open_store(url)
    assert store.url == url
    assert await store.put_if_absent("a", b"x", {}) is PutResult.STORED
    assert (tmp_path / "an archive#1/a").read_bytes() == b"x"
    assert await open_store(url, read_only=True).get("a") == b"x"


async def test_subjects_open_at_a_url_too(tmp_path: Path) -> None:
    subjects = open_subjects((tmp_path / "subjects").as_uri())
    assert await subjects.create("subjects/a", b"x")
    assert (tmp_path / "subjects/subjects/a").read_bytes() == b"x"


def test_an_archive_to_read_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no archive folder"):
        open_store((tmp_path / "missing").as_uri(), read_only=True)
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("url", ["file:///var/x", "file:/var/x", "file://localhost/var/x"])
def test_the_ways_to_write_a_file_url(url: str) -> None:
    assert place_of(url) == Path("/var/x")


async def test_an_s3_url_names_a_bucket() -> None:
    store, subjects = open_store("s3://arch.one"), open_subjects("s3://subj-1")
    assert isinstance(store, S3Store)
    assert isinstance(subjects, S3SubjectStore)
    assert store.url == "s3://arch.one"
    await store.close()
    await subjects.close()


async def test_an_azure_url_names_account_and_container() -> None:
    store, subjects = open_store("azure://account/arch-1"), open_subjects("azure://account/subj-1")
    assert isinstance(store, AzureStore)
    assert isinstance(subjects, AzureSubjectStore)
    assert store.url == "azure://account/arch-1"
    await store.close()
    await subjects.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/archive",
        "archive",
        "http://host/x",
        "file:archive",
        "file://var/archive",
        "file:///x?y=1",
        "file:///x#y",
        "file:///x%00",
        "file://[half/x",
        "azure://name:s3cret@host/x?sig=s3cret",
        "azure://account/arch?sig=s3cret",
        "azure://account",
        "azure://account/UPPER",
        "azure://account/a--b",
        "azure://account/arch/folder",
        "s3://name:s3cret@bucket",
        "s3://bucket?sig=s3cret",
        "s3://bucket/folder",
        "s3://UPPER",
        "s3://127.0.0.1",
        "s3://a..b",
        "s3://",
        "file:///",
        "ftp://name:s3cret@host/x",
    ],
)
def test_another_url_is_refused_without_being_repeated(url: str) -> None:
    for opener in (open_store, open_subjects):
        with pytest.raises(ConfigError) as caught:
            opener(url)
        assert caught.value.hint
        assert "s3cret" not in str(caught.value)


def test_file_stores_fit_the_port(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    assert isinstance(store, FileStore)
