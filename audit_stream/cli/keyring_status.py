"""`audit-stream keyring status`: what there is of the keyring, and whether it can be used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from audit_stream.cli.keyring_backup import REPLACE
from audit_stream.cli.options import Config, Json, KeyringPath, Offline
from audit_stream.cli.output import Output
from audit_stream.errors import KeyringError
from audit_stream.evidence.signing import LineSigner, key_id
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.app.epoch import ArchiveEpoch
    from audit_stream.evidence.key_line import KeyHistory
    from audit_stream.keys.facts import FileFacts, TreeFacts
    from audit_stream.keys.file import LoadedKeyring
    from audit_stream.privacy.keyring import Keyring

_FOUND, _COUNTS = 1, "counts"
_KEYS = ("index_key", "log_key", "segment_key")
Signing = tuple[str, str, str]  # use, key id, what the log says


@dataclass
class _Status:
    """All that was found; `wrong` has a sentence for each thing to mend."""

    ring: Keyring
    role: str
    files: list[FileFacts]
    trees: list[TreeFacts]
    missing: list[int]
    archive: ArchiveEpoch | None = None
    signing: list[Signing] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def status(
    as_json: Json = False, offline: Offline = False, path: KeyringPath = None,
    config: Config = None,
) -> None:  # fmt: skip
    """What the keyring holds and lacks, whose it is, and whether the archive has gone past it.

    Reads the whole archive log, for what it says of keys. Prints no key.

    Exit 1: something is to be mended, or the archive is at a newer epoch. 3: the archive cannot be
    read.
    """
    settings, out = Settings.load(config, keyring=path), Output(as_json)
    found = _here(settings)
    loaded = _usable(settings, found)
    if loaded is not None and not offline:
        asyncio.run(_ask_archive(settings, loaded, found, out))
    out.document(_document(found))
    _show(found, settings, out)
    if found.wrong:
        raise typer.Exit(_FOUND)


def _here(settings: Settings) -> _Status:
    """What can be told without the archive, also of files that others may read."""
    from audit_stream.app.covers import cover_wrapper
    from audit_stream.keys.facts import file_facts, missing_years, tree_facts
    from audit_stream.keys.file import read_keyring, role_of

    ring = read_keyring(settings.keyring)
    files = list(file_facts(settings.keyring, ring))
    trees = list(tree_facts(settings.keyring, ring, cover_wrapper(settings)))
    found = _Status(ring, role_of(ring), files, trees, missing_years(ring))
    found.wrong += [f"{each.path}: {each.wrong}" for each in files if each.wrong]
    found.wrong += [each.wrong for each in trees if each.wrong]
    if ring.archive != settings.archive_name:
        found.wrong.append(f"AUDIT_ARCHIVE_NAME says {settings.archive_name}")
    if (year := datetime.now(UTC).year) not in ring.years:
        found.wrong.append(f"there is no key for {year}: its records go into quarantine")
    return found


def _usable(settings: Settings, found: _Status) -> LoadedKeyring | None:
    from audit_stream.keys.file import load_closed

    if any(tree.wrong and not tree.wrapped_by for tree in found.trees):
        return None
    try:  # a key that is gone from its vault does not keep the archive from saying why
        return load_closed(settings.keyring)
    except KeyringError as error:
        if error.message not in found.wrong:
            found.wrong.append(error.message)
        return None


async def _ask_archive(
    settings: Settings, ring: LoadedKeyring, found: _Status, out: Output
) -> None:  # fmt: skip
    from audit_stream.app.epoch import archive_epoch
    from audit_stream.app.keys import keys_of
    from audit_stream.cli.log import reading
    from audit_stream.notary.keys import LoggedKeys
    from audit_stream.notary.log import ArchiveLog

    async with reading(settings, out) as store:
        log = ArchiveLog(store, ring.log_key)
        history = await LoggedKeys(log).catch_up(await log.head())
        keys = keys_of(ring)
        found.signing = [(use, key_id(public), _said(history, use, public)) for use, public in keys]
        found.archive = await archive_epoch(store, ring.trusted, ring.keyring.archive)
    found.wrong += _of_archive(found, history)


def _said(history: KeyHistory, use: str, public: bytes) -> str:
    """What the log says of a key."""
    for key in history.keys:
        if (key.use, key.public) == (use, public):
            end = key.revoked_at_size
            return _COUNTS if end is None else f"revoked at leaf {end}"
    return "unknown"


def _of_archive(found: _Status, history: KeyHistory) -> list[str]:
    """What the archive says against the keyring."""
    wrong, ring = [], found.ring
    assert found.archive is not None
    if found.archive.proven > ring.epoch:
        wrong.append(
            f"the archive is at the epoch {found.archive.proven}: this keyring is older, would "
            "bring back who was erased since, and is refused"
        )
    elif found.archive.claimed > ring.epoch:
        wrong.append(
            f"what stands at the archive's end says the epoch {found.archive.claimed}, signed by "
            "no key that this keyring trusts: an older keyring, or a forgery; run verify"
        )
    if ring.segment_key is not None and history.keys:
        kid = LineSigner(ring.segment_key).kid
        said = next(said for use, each, said in found.signing if (use, each) == ("segment", kid))
        if said != _COUNTS:
            wrong.append(f"the archive log does not count the segment key {kid}: {said}")
    return wrong


def _document(found: _Status) -> dict[str, Any]:
    ring, archive = found.ring, found.archive
    return {
        "archive": ring.archive, "epoch": ring.epoch, "role": found.role,
        "archive_epoch": None if archive is None else archive.proven,
        "keys": [name for name in _KEYS if getattr(ring, name) is not None],
        "trees": [
            {"cover": each.cover, "entries": each.entries, "first_epoch": each.first_epoch,
             "wrapped_by": each.wrapped_by or None}
            for each in found.trees
        ],
        "years": {
            "first": min(ring.years, default=None), "last": max(ring.years, default=None),
            "missing": found.missing,
        },
        "signing": [
            {"use": use, "kid": kid, "log": said} for use, kid, said in found.signing
        ],
        "files": [
            {"path": str(each.path), "mode": f"{each.mode:04o}", "owner": each.owner}
            for each in found.files
        ],
        "wrong": found.wrong,
    }  # fmt: skip


def _show(found: _Status, settings: Settings, out: Output) -> None:
    ring, archive = found.ring, found.archive
    there = [name for name in _KEYS if getattr(ring, name) is not None]
    years = f"{min(ring.years)} to {max(ring.years)}" if ring.years else "none"
    missing = ", ".join(map(str, found.missing)) or "none"
    rows: list[tuple[str, object]] = [
        ("file", settings.keyring),
        ("archive", ring.archive),
        ("epoch", ring.epoch),
        ("archive's epoch", "not asked" if archive is None else archive.proven or "no segment yet"),
        ("role", found.role),
        ("keys", ", ".join(there)),
        ("years", years),
        ("years missing between", missing),
    ]
    out.table("Keyring", ["what", "found"], rows)
    trees = [
        (each.cover, each.first_epoch, each.entries, each.wrapped_by or "nothing", each.wrong)
        for each in found.trees
    ]
    out.table("Trees", ["cover", "first epoch", "entries", "wrapped by", "wrong"], trees)
    out.table("Signing keys", ["use", "kid", "the log says"], found.signing)
    files = [(each.path, f"{each.mode:04o}", each.owner, each.wrong) for each in found.files]
    out.table("Files", ["path", "mode", "owner", "wrong"], files)
    for sentence in found.wrong:
        out.say(f"WRONG: {sentence}")
    out.say(REPLACE)
