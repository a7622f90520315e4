"""How the settings say that Azure is reached, and that no secret shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_stream.errors import ConfigError
from audit_stream.settings import Settings
from audit_stream.stores.azure_target import AzureTarget

SECRET = "c2VjcmV0LWtleQ=="
STRING = f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={SECRET};EndpointSuffix=x.net"
ARCHIVE = {"archive": "azure://acct/arch", "subjects": "azure://acct/subj"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(**flags: Any) -> Settings:
    return Settings.load(**{**ARCHIVE, **flags})


def test_the_archive_may_be_a_container() -> None:
    place = load().archive_place
    assert isinstance(place, AzureTarget)
    assert place.url == "azure://acct/arch"
    assert Settings.load(archive="azure://acct/arch").subjects == "azure://acct/arch-subjects"


def test_the_subjects_have_a_container_of_their_own() -> None:
    with pytest.raises(ConfigError, match="must lie outside"):
        load(subjects="azure://acct/arch/")


def test_without_credentials_it_is_an_identity() -> None:
    access = load(azure_client_id="id").azure_access()
    assert (access.sas, access.key, access.client_id) == (None, None, "id")
    assert "{account}" in access.endpoint


def test_a_connection_string_names_endpoint_and_key() -> None:
    access = load(azure_connection_string=STRING).azure_access()
    assert access.endpoint == "https://acct.blob.x.net"
    assert access.key == SECRET
    assert SECRET not in repr(access)


def test_an_emulators_connection_string_names_its_endpoint() -> None:
    emulator = f"AccountName=dev;AccountKey={SECRET};BlobEndpoint=http://127.0.0.1:10000/dev/;"
    access = load(azure_connection_string=emulator).azure_access()
    assert access.endpoint == "http://127.0.0.1:10000/dev"


def test_a_connection_string_may_hold_a_sas() -> None:
    shared = f"BlobEndpoint=https://acct.blob.x.net;SharedAccessSignature=sig={SECRET}"
    access = load(azure_connection_string=shared).azure_access()
    assert access.sas is not None
    assert access.sas() == f"sig={SECRET}"
    assert access.key is None


@pytest.mark.parametrize(
    "string",
    ["", SECRET, f"AccountKey={SECRET}", "AccountName=acct", "AccountName=acct;AccountKey"],
)
def test_a_connection_string_that_cannot_be_used_is_not_repeated(string: str) -> None:
    Path("string").write_text(string)
    with pytest.raises(ConfigError) as caught:
        load(azure_connection_string_file="string").azure_access()
    assert SECRET not in str(caught.value)
    assert caught.value.hint


def test_a_sas_in_a_file_is_read_again_at_each_use() -> None:
    Path("sas").write_text("sig=one\n")
    access = load(azure_sas_file="sas").azure_access()
    assert access.sas is not None
    assert access.sas() == "sig=one"
    Path("sas").write_text("sig=two\n")
    assert access.sas() == "sig=two"


def test_the_subjects_may_have_credentials_of_their_own() -> None:
    both = load(azure_sas="sig=archive")
    sas = both.azure_access("subjects").sas
    assert sas is not None
    assert sas() == "sig=archive"
    apart = load(azure_sas="sig=archive", azure_subjects_connection_string=STRING)
    assert apart.azure_access("subjects").key == SECRET
    assert apart.azure_access().key is None


def test_no_secret_shows_in_the_table() -> None:
    settings = load(azure_connection_string=STRING, azure_subjects_sas=f"sig={SECRET}")
    assert SECRET not in str(settings.as_table())
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("name", ["azure_endpoint", "azure_management"])
def test_an_endpoint_is_a_url(name: str) -> None:
    with pytest.raises(ConfigError, match="must be an https"):
        load(**{name: "acct.blob.core.windows.net"})
