"""How S3 is reached: address, identity, TLS, time limits, a bounded pool of threads.

The SDK blocks: each request is one call in a thread. Its retries are off, it follows no redirect to
another region, and urllib3 below it sends nothing twice.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import cache
from threading import Lock
from typing import Any

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import CredentialRetrievalError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from audit_stream import __version__
from audit_stream.errors import ConfigError, StoreRefused
from audit_stream.stores.offload import Offload
from audit_stream.stores.s3_errors import SDK_ERRORS, store_errors
from audit_stream.stores.s3_target import S3Access, S3Keys, S3Target

Answer = dict[str, Any]
_OWN_REGION = "us-east-1"  # what compatible services are asked with, unless told otherwise


class Connection:
    """One bucket, asked through a client that is made at first use."""

    def __init__(self, target: S3Target) -> None:
        self._target = target
        self._offload = Offload(
            "S3", threads=target.access.connections, hint="look at the way to the service"
        )
        self._making = Lock()
        self._client: Any = None
        self._http: Any = None  # what the client sends over
        self._keys: S3Keys | None = None  # the client's own
        self.tls: str | None = None  # version of the newest connection, e.g. TLSv1.3
        self.skew_seconds: float | None = None  # our clock minus the service's, at its last answer

    async def ask(self, operation: str, **parameters: Any) -> Answer:
        """One request, as ``ask("get_object", Key=…)``: the answer, its body read to the end.

        Raises what the SDK raises: its caller knows what a refusal means.
        """
        await self._target.turn()
        return await self._offload.run(self._ask, operation, parameters)

    def _ask(self, operation: str, parameters: Answer) -> Answer:
        call = getattr(self._made(), operation)
        try:
            answer: Answer = call(Bucket=self._target.bucket, **parameters)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read()
        except SDK_ERRORS:  # some are one of the following, too
            raise
        except HTTPError as error:  # the SDK lets it pass where a refusal's own body breaks off
            raise HTTPClientError(error=error) from error
        except (OSError, RuntimeError) as error:  # and here, where a role's token cannot be had
            raise CredentialRetrievalError(
                provider="a role", error_msg=type(error).__name__
            ) from error
        self._note_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        return answer

    def _note_date(self, date: str) -> None:
        with suppress(ValueError, TypeError):
            self.skew_seconds = time.time() - parsedate_to_datetime(date).timestamp()

    def _made(self) -> Any:
        with self._making:
            if self._client is None:
                self._keys = self._read_keys()
                self._client, self._http = open_client(
                    self._target.access, self._keys, self._note_tls
                )
            return self._client

    def _read_keys(self) -> S3Keys | None:
        """As they are now; if their file is gone, the old ones are as good as any."""
        read = self._target.access.keys
        try:
            return None if read is None else read()
        except ConfigError:
            if self._keys is None:
                raise
            return self._keys

    def _note_tls(self, version: str | None) -> None:
        self.tls = version

    @property
    def https(self) -> bool:
        """Whether the line is closed; false before the first request."""
        return self._client is not None and self._endpoint.startswith("https://")

    @property
    def amazon(self) -> bool:
        """Whether the service is Amazon's own; false before the first request."""
        host = self._endpoint.partition("://")[2].partition("/")[0].partition(":")[0]
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @property
    def _endpoint(self) -> str:
        return "" if self._client is None else str(self._client.meta.endpoint_url)

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn the SDK's exceptions into ours; a refusal has the access key read again."""
        try:
            with store_errors(doing):
                yield
        except StoreRefused:
            self._renew()
            raise

    def _renew(self) -> None:
        """The key may have been replaced: the next call reads it again."""
        if self._target.access.keys is not None:
            self._let_go()

    def _let_go(self) -> None:
        """Close what is idle; calls under way end as they would."""
        with self._making:
            if self._client is not None:
                self._client.close()
                self._http.close()
            self._client = None

    async def close(self) -> None:
        """Release the pool. May be called twice."""
        await self._offload.close()
        self._let_go()


def open_client(
    access: S3Access, keys: S3Keys | None, negotiated: Callable[[str | None], None]
) -> tuple[Any, Any]:
    """The SDK's client and what it sends over, both to be closed by the caller; `negotiated` is
    told the TLS version of each connection."""
    _silence()
    session = botocore.session.Session(profile=access.profile)
    session.register_component("data_loader", _loader())
    if keys is not None:
        session.set_credentials(keys.key_id, keys.secret, keys.token)
    configured = access.region or session.get_config_variable("region")
    if configured is None and access.endpoint is None:
        raise ConfigError("the bucket's region is not known", hint="set AUDIT_S3_REGION")
    client = session.create_client(
        "s3", region_name=configured or _OWN_REGION, endpoint_url=access.endpoint,
        config=Config(
            retries={"total_max_attempts": 1}, user_agent_extra=f"audit-stream/{__version__}",
            s3={"addressing_style": "path" if access.path_style else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )  # fmt: skip
    http = _Session(access, negotiated, str(client.meta.endpoint_url))

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        # Waiting for leave to send the body costs each put a round trip.
        request.headers.pop("Expect", None)
        return http.send(request)

    client.meta.events.register("before-send.s3", send)
    client.meta.events.register_last("before-parameter-build.s3", _stay)
    return client, http


def _stay(context: dict[str, Any], **_: object) -> None:
    """Where the bucket is in another region the SDK would ask there by itself: one call is one
    request, and a wrong region is for the operator to mend."""
    context.setdefault("s3_redirect", {})["redirected"] = True


@cache
def _loader() -> Loader:
    """Descriptions of the service, read once for every client: they are megabytes."""
    return Loader(extra_search_paths=None, include_default_search_paths=True)


def _silence() -> None:
    """The SDK's debug lines show session tokens."""
    for name in ("botocore", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.INFO, logger.level))


class _Session(URLLib3Session):  # type: ignore[misc]  # the SDK has no types
    """The SDK's HTTP session with our TLS."""

    def __init__(
        self, access: S3Access, negotiated: Callable[[str | None], None], endpoint: str
    ) -> None:
        self._least = ssl.TLSVersion.TLSv1_3 if access.require_tls13 else ssl.TLSVersion.TLSv1_2
        self._told = negotiated
        super().__init__(
            verify=access.ca_file or True, proxies=get_environ_proxies(endpoint),
            timeout=(access.connect_seconds, access.read_seconds),
            max_pool_connections=access.connections,
        )  # fmt: skip

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.minimum_version = self._least
        context.sslsocket_class = _telling(self._told)
        return context


def _telling(negotiated: Callable[[str | None], None]) -> type[ssl.SSLSocket]:
    class Telling(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            negotiated(self.version())

    return Telling
