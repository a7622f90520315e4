"""From a URL in the settings to a store. No URL is ever repeated: it may hold a secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from audit_stream.errors import ConfigError
from audit_stream.ports import ContainerHolds, SubjectStore, WormStore
from audit_stream.stores.access import StoreAccess
from audit_stream.stores.azure_target import AzureTarget, check_azure_place
from audit_stream.stores.file import FileStore
from audit_stream.stores.s3_target import S3Target, check_bucket
from audit_stream.stores.subjects import FileSubjectStore

_EXAMPLE = "for example file:///var/lib/audit/archive, azure://account/container or s3://bucket"
_LOCAL = StoreAccess()

Place = Path | AzureTarget | S3Target


def open_store(url: str, access: StoreAccess = _LOCAL, *, read_only: bool = False) -> WormStore:
    """The archive at `url`; a folder is made if need be unless `read_only`.

    `ConfigError` for a URL it cannot serve, and for a folder to read that is not there.
    """
    place = place_of(url, access)
    if isinstance(place, AzureTarget):
        _need_azure()
        from audit_stream.stores.azure import AzureStore

        return AzureStore(place, read_only)
    if isinstance(place, S3Target):
        _need_s3()
        from audit_stream.stores.s3 import S3Store

        return S3Store(place, read_only)
    if read_only and not place.is_dir():
        raise ConfigError(f"there is no archive folder {place}", hint="check AUDIT_ARCHIVE")
    return FileStore(place, read_only)


def open_subjects(url: str, access: StoreAccess = _LOCAL) -> SubjectStore:
    """The subject store at `url`; a folder is made if need be."""
    place = place_of(url, access)
    if isinstance(place, AzureTarget):
        _need_azure()
        from audit_stream.stores.azure_subjects import AzureSubjectStore

        return AzureSubjectStore(place)
    if isinstance(place, S3Target):
        _need_s3()
        from audit_stream.stores.s3_subjects import S3SubjectStore

        return S3SubjectStore(place)
    return FileSubjectStore(place)


def open_container_holds(url: str, access: StoreAccess = _LOCAL) -> ContainerHolds | None:
    """The holds of the archive's container; None where it is none, or its management plane is not
    set."""
    place = place_of(url, access)
    if not isinstance(place, AzureTarget) or place.access.management is None:
        return None
    _need_azure()
    from audit_stream.stores.azure_holds import AzureContainerHolds

    return AzureContainerHolds(place)


def azure_target(url: str, access: StoreAccess) -> AzureTarget:
    """The container that `url` names; `ConfigError` for any other place."""
    place = place_of(url, access)
    if isinstance(place, S3Target):
        raise ConfigError(
            "this is for an azure:// archive: in an s3:// one each object is locked when it is put",
            hint="the bucket is set up once (docs/how-to/s3.md); audit-stream archive check tells",
        )
    if not isinstance(place, AzureTarget):
        raise ConfigError(
            "only an azure:// archive has a policy that can be locked", hint="set AUDIT_ARCHIVE"
        )
    _need_azure()
    return place


def place_of(url: str, access: StoreAccess = _LOCAL) -> Place:
    """The folder, container or bucket a URL means: ``file:///path``, ``azure://account/container``,
    ``s3://bucket``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("a store's URL is malformed", hint=_EXAMPLE) from None
    match parts.scheme:
        case "file":
            return _folder(parts)
        case "azure":
            return _container(parts, access)
        case "s3":
            return _bucket(parts, access)
        case _:
            raise ConfigError(
                "a store's URL must start with file:///, azure:// or s3://", hint=_EXAMPLE
            )


def _folder(parts: SplitResult) -> Path:
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or not path.startswith("/"):
        raise ConfigError("a file URL needs an absolute path after file://", hint=_EXAMPLE)
    if parts.query or parts.fragment or "\0" in path:
        raise ConfigError("a file URL is a path and nothing else", hint="write ? # as %3F %23")
    if not path.strip("/"):
        raise ConfigError("a file URL must not name the root folder", hint=_EXAMPLE)
    return Path(path)


def _container(parts: SplitResult, access: StoreAccess) -> AzureTarget:
    account, container = parts.netloc, parts.path.strip("/")
    if parts.query or parts.fragment or "@" in account:
        raise ConfigError(
            "an azure URL is account and container, nothing else",
            hint=f"{_EXAMPLE}; credentials have settings of their own (AUDIT_AZURE_…)",
        )
    check_azure_place(account, container)
    return AzureTarget(
        account=account, container=container, access=access.azure, turn=access.turn,
        retention_days=access.retention_days,
    )  # fmt: skip


def _bucket(parts: SplitResult, access: StoreAccess) -> S3Target:
    bucket = parts.netloc
    if parts.query or parts.fragment or parts.path.strip("/") or "@" in bucket:
        raise ConfigError(
            "an s3 URL is a bucket, nothing else",
            hint="for example s3://bucket; credentials have settings of their own (AUDIT_S3_…)",
        )
    check_bucket(bucket)
    return S3Target(
        bucket=bucket, access=access.s3, turn=access.turn, retention_days=access.retention_days
    )


def _need_azure() -> None:
    try:
        import azure.identity
        import azure.storage.blob  # noqa: F401
    except ImportError:
        raise ConfigError(
            "azure:// needs packages that are not installed",
            hint="pip install 'audit-stream[azure]'",
        ) from None


def _need_s3() -> None:
    try:
        import botocore  # noqa: F401
    except ImportError:
        raise ConfigError(
            "s3:// needs a package that is not installed", hint="pip install 'audit-stream[s3]'"
        ) from None
