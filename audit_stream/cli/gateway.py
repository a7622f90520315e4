"""`audit-stream gateway` and `audit-stream tokens`: the retrieval API and who may use it."""

from __future__ import annotations

import logging.config
import time
from typing import Annotated

import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config

tokens = typer.Typer(help="Service tokens of the gateway.", no_args_is_help=True)
_DAY = 86_400


def gateway(config: Config = None) -> None:
    """Serve the retrieval API and auditors' pages until SIGTERM: signed, verified, recorded.

    It brings its index up to date first. Its own web port has /metrics, /healthz, /readyz.
    Exit 0: stopped; what was read is in its journal, and sealed if the archive was there.
    """
    settings = Settings.load(config)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    try:
        from audit_stream.app.gateway_server import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed", hint="install audit-stream[gateway]"
        ) from error
    serve(settings)


@tokens.command()
def create(
    tenant: Annotated[list[str], typer.Option(help="Whose records; `*` for all; repeatable.")],
    scope: Annotated[list[str], typer.Option(help="audit:read, …; repeatable.")],
    days: Annotated[int | None, typer.Option(min=1, help="How long it is good.")] = None,
    config: Config = None,
) -> None:
    """Make a token and show it, this once: only its hash is kept."""
    from audit_stream.gateway.tokens import TokenFile

    settings, out = Settings.load(config), Output()
    expires = None if days is None else int(time.time()) + days * _DAY
    stored, token = TokenFile(settings.gateway_tokens).create(tuple(tenant), tuple(scope), expires)
    out.note(f"token {stored.id}, shown this once:")
    out.say(token)


@tokens.command("list")
def list_tokens(as_json: Json = False, config: Config = None) -> None:
    """Which tokens there are; never the tokens themselves."""
    from audit_stream.gateway.tokens import TokenFile

    settings, out = Settings.load(config), Output(as_json)
    found = TokenFile(settings.gateway_tokens).tokens()
    out.document([
        {"id": each.id, "tenants": each.tenants, "scopes": each.scopes, "expires": each.expires,
         "revoked": each.revoked}
        for each in found
    ])  # fmt: skip
    out.table("Service tokens", ["id", "tenants", "scopes", "expires", "revoked"], [
        (each.id, ",".join(each.tenants), ",".join(each.scopes), each.expires or "never",
         "yes" if each.revoked else "no")
        for each in found
    ])  # fmt: skip


@tokens.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="As `tokens list` shows it.")],
    config: Config = None,
) -> None:
    """Refuse a token from now on; a gateway that runs notices."""
    from audit_stream.gateway.tokens import TokenFile

    settings = Settings.load(config)
    TokenFile(settings.gateway_tokens).revoke(token_id)
    Output().say(f"token {token_id} is revoked")
