"""An installation's holds against requests: what was filed is declared, and stands, before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from audit_stream.app.erasing import erasing
from audit_stream.app.holds import open_holds
from audit_stream.evidence.hold import Action, Kind, hold_of
from audit_stream.evidence.register import Register, decode_entry
from audit_stream.keys.lock import keyring_lock
from audit_stream.settings import Settings
from tests.support.erasing import ANOTHER, RECORDS, SOMEBODY
from tests.support.holding import wanted
from tests.support.keeping import NAME, Kept


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def settings_of(kept: Kept) -> Settings:
    return Settings.load(
        None, archive=(kept.folder / "archive").as_uri(), archive_name=NAME, keyring=kept.path,
        subjects=(kept.folder / "subjects").as_uri(), broker="kafka://127.0.0.1:1",
    )  # fmt: skip


@pytest.mark.parametrize("kind", [Kind.CUSTOMER, Kind.MESSAGE])
async def test_a_filed_hold_is_declared_before_an_erasure_and_stands_against_it(
    kept: Kept, kind: Kind
) -> None:
    settings = settings_of(kept)
    what = {"tags": (SOMEBODY,)} if kind is Kind.CUSTOMER else {
        "values": [RECORDS[SOMEBODY][0]["message_uuid"]]
    }  # fmt: skip
    async with open_holds(settings) as keeper:
        hold = await keeper.file(wanted(kind, **what))
    requests = [await kept.file("R-1", SOMEBODY), await kept.file("R-2", ANOTHER)]
    async with erasing(settings) as place:
        assert [each for each, *_ in await place.installation().holding()] == [hold.hold_id]
        with keyring_lock(settings.keyring):
            held: dict[str, Sequence[str]] = dict(
                await place.installation().holds_against(requests)
            )
        assert await place.held_by([SOMEBODY]) == [hold.hold_id]
        assert await place.held_by([ANOTHER]) == ()
    assert held == {"R-1": [hold.hold_id]}
    name = Register.HOLDS.entry_name(0)
    entry = hold_of(decode_entry(await kept.store.get(name) or b"", name))
    assert (entry.hold_id, entry.action) == (hold.hold_id, Action.DECLARED)
