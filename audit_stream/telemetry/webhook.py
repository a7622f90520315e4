"""Posting an alarm to a webhook. The URL is a secret: it stands in no message and no log."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from audit_stream.errors import AlertError, AlertRefused, ConfigError
from audit_stream.telemetry.alarm import Alarm

_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=5.0)  # seconds
_MAY_PASS = frozenset((408, 425, 429))
_HINTS = {
    400: "check AUDIT_ALERT_SHAPE, and the routing key where it is PagerDuty",
    407: "the proxy wants a login: check HTTPS_PROXY and NO_PROXY",
}
_URL = "check AUDIT_ALERT_WEBHOOK: it may have been revoked, or a proxy refuses it"
_REDIRECT = "an alarm does not follow redirects: set AUDIT_ALERT_WEBHOOK to where it leads"
_TLS = "the certificate is not of an authority we trust: set AUDIT_ALERT_CA_FILE"
_NETWORK = "check the URL's host, the firewall, HTTPS_PROXY and NO_PROXY"


class Webhook:
    """A `outbox.Deliver`: one POST a call over a connection of its own, through the environment's
    proxy (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); a 2xx means accepted.

    `url` is asked at each call, so that the file behind it may be replaced.
    """

    def __init__(
        self, url: Callable[[], str], render: Callable[[Alarm], dict[str, Any]],
        tls: ssl.SSLContext,
    ) -> None:  # fmt: skip
        self._url = url
        self._render = render
        self._tls = tls

    async def __call__(self, alarm: Alarm) -> None:
        """Post it. `AlertError` when it may go through later, `AlertRefused` when not."""
        url, document = self._url(), self._render(alarm)
        try:
            status, retry_after = await self._post(url, document)
        # `from None` below: the causes repeat the URL.
        except aiohttp.ClientHttpProxyError as error:  # its answer to CONNECT
            raise _refusal("the proxy before the webhook", error.status) from None
        except aiohttp.InvalidURL as error:
            raise AlertRefused(f"the webhook's URL: {type(error).__name__}", hint=_URL) from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # names go through IDNA
            raise _unreached(error) from None
        if not 200 <= status < 300:
            raise _refusal("the webhook", status, retry_after)

    async def _post(self, url: str, document: dict[str, Any]) -> tuple[int, str | None]:
        """Status and ``Retry-After``; the answer's body is not read."""
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, trust_env=True
            ) as session,
            session.post(url, json=document, allow_redirects=False) as answer,
        ):  # fmt: skip
            return answer.status, answer.headers.get("Retry-After")


def _refusal(who: str, status: int, retry_after: str | None = None) -> AlertError:
    said = f"{who} answered HTTP {status}"
    if status in _MAY_PASS or status >= 500:
        seconds = None
        with suppress(TypeError, ValueError):  # absent, or a date
            seconds = float(retry_after or "")
        return AlertError(said, retry_after=seconds)
    hint = _REDIRECT if 300 <= status < 400 else _HINTS.get(status, _URL)
    return AlertRefused(said, hint=hint)


def _unreached(error: Exception) -> AlertError:
    distrusted = isinstance(error, aiohttp.ClientConnectorCertificateError)
    return AlertError(
        f"the webhook was not reached: {type(error).__name__}",
        hint=_TLS if distrusted else _NETWORK,
    )


def tls_context(ca_file: Path | None, setting: str = "AUDIT_ALERT_CA_FILE") -> ssl.SSLContext:
    """TLS 1.2 or later, certificate and host name checked against the file's authorities.

    None is the system's. `ConfigError`, which names the setting, when the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"{setting}: cannot load the authorities: {type(error).__name__}",
            hint="it must be a PEM file this user may read",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
