"""Personal fields in look-ups, without subject objects, and after an erasure; and sweeping."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.archive.opening import Closed
from audit_stream.index.rows import NO_TAGS, TAG, TO_COMPACT
from audit_stream.index.sweep import sweep
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import NO_TAG, open_tags, seal_tags
from audit_stream.privacy.subjects import EXTERNAL
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.indexing import (
    CUSTOMERS,
    TAGS,
    Asking,
    golden_archive,
    message_keys,
)
from tests.support.replaying import erased_cover

KEY = golden.KEYRING.index_key
(TENANT, CUSTOMER), THEIRS = max(CUSTOMERS.items(), key=lambda item: len(item[1]))
SUBJECT = (TENANT, EXTERNAL, CUSTOMER)
TAGGED = TAGS.tag(SUBJECT)


@pytest.fixture
def subjects(tmp_path: Path) -> FileSubjectStore:
    """A copy that may be rewritten."""
    shutil.copytree(golden.GOLDEN / "subjects", tmp_path / "s" / "subjects")
    return FileSubjectStore(tmp_path / "s")


@pytest.fixture
async def asking(tmp_path: Path, subjects: FileSubjectStore) -> AsyncIterator[Asking]:
    made = Asking(golden_archive(FileStore(golden.ARCHIVE, True), subjects), tmp_path / "index")
    await made.catch_up()
    yield made
    made.index.close()


async def erase(subjects: FileSubjectStore) -> int:
    """Zero the customer's tags, as a redaction does; how many there were."""
    zeroed = 0
    for name in await subjects.names("subjects/"):
        found = await subjects.get(name)
        assert found is not None
        tags = open_tags(KEY, name, found.data)
        zeroed += tags.count(TAGGED)
        kept = b"".join(NO_TAG if tag == TAGGED else tag for tag in tags)
        data = seal_tags(KEY, name, kept, bytes([7]) * NONCE_BYTES)
        if TAGGED in tags:
            assert await subjects.replace(name, data, found.etag)
    return zeroed


async def theirs(asking: Asking) -> list[tuple[str, str]]:
    return message_keys((await asking.lookup.by_customer(TENANT, CUSTOMER)).messages)


def tag_rows(asking: Asking) -> set[bytes]:
    return {key for key in asking.rows if key.startswith(TAG)}


def check_no_file_has_it(asking: Asking) -> None:
    files = [each for each in asking.folder.iterdir() if each.is_file()]
    assert any(each.suffix == ".sst" for each in files)
    held = [each.name for each in files if TAGGED in each.read_bytes()]
    assert held == []
    assert not any(TAGGED.hex() in each.read_text("latin-1").lower() for each in files)


async def test_fields_open_by_the_subject_object(asking: Asking) -> None:
    for message in (await asking.lookup.by_customer(TENANT, CUSTOMER)).messages:
        assert message.is_of(CUSTOMER)
        assert not message.is_of(f"{CUSTOMER}x")
        assert not message.erased


class TestWithoutSubjectObjects:
    @pytest.fixture
    async def bare(self, tmp_path: Path) -> AsyncIterator[Asking]:
        made = Asking(golden_archive(FileStore(golden.ARCHIVE, True), None), tmp_path)
        await made.catch_up()
        yield made
        made.index.close()

    async def test_a_customer_is_not_found(self, bare: Asking) -> None:
        assert await theirs(bare) == []

    async def test_a_message_needs_the_customers_name(self, bare: Asking) -> None:
        for tenant, message in THEIRS:
            (found,) = await bare.lookup.by_message(tenant, message)
            assert {each.closed for each in found.revisions} == {Closed.UNLINKED}
            assert not found.is_of(CUSTOMER)
            (named,) = await bare.lookup.by_message(tenant, message, CUSTOMER)
            assert named.is_of(CUSTOMER)
            (other,) = await bare.lookup.by_message(tenant, message, f"{CUSTOMER}x")
            assert {each.closed for each in other.revisions} == {Closed.ANOTHERS}


class TestErased:
    async def test_the_rows_are_not_answered_with_before_they_are_gone(
        self, asking: Asking, subjects: FileSubjectStore
    ) -> None:
        assert sorted(await theirs(asking)) == sorted(THEIRS)
        assert await erase(subjects) >= len(THEIRS)
        assert await theirs(asking) == []
        assert any(TAGGED in key for key in tag_rows(asking))

    async def test_the_message_is_there_with_its_fields_closed(
        self, asking: Asking, subjects: FileSubjectStore
    ) -> None:
        await erase(subjects)
        asking.cover = erased_cover(SUBJECT)
        for customer in (None, CUSTOMER):
            (found,) = await asking.lookup.by_message(*THEIRS[0], customer)
            assert found.erased
            assert Closed.ERASED in {each.closed for each in found.revisions}
            assert not found.is_of(CUSTOMER)

    async def test_forget_removes_every_row_of_the_tag_and_no_other(
        self, asking: Asking, subjects: FileSubjectStore
    ) -> None:
        before, zeroed = tag_rows(asking), await erase(subjects)
        assert asking.index.forget([TAGGED]) == zeroed
        after = tag_rows(asking)
        assert after == {key for key in before if TAGGED not in key}
        assert len(before) - len(after) == zeroed
        check_no_file_has_it(asking)

    async def test_a_sweep_finds_out(self, asking: Asking, subjects: FileSubjectStore) -> None:
        swept = await sweep(asking.archive, asking.index)
        assert (swept.removed, swept.added, swept.untagged) == (0, 0, 0)
        before, zeroed = tag_rows(asking), await erase(subjects)
        swept = await sweep(asking.archive, asking.index)
        assert (swept.removed, swept.added, swept.untagged) == (zeroed, 0, 0)
        assert tag_rows(asking) == {key for key in before if TAGGED not in key}
        assert (await sweep(asking.archive, asking.index)).removed == 0
        check_no_file_has_it(asking)


async def test_what_a_sweep_did_not_come_to_write_anew_the_next_one_does(
    asking: Asking, subjects: FileSubjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between deleting rows and taking them out of the files."""
    await erase(subjects)

    def ended() -> None:
        raise RuntimeError("ended")

    with monkeypatch.context() as patched:
        patched.setattr(asking.index, "compact_tags", ended)
        with pytest.raises(RuntimeError, match="ended"):
            await sweep(asking.archive, asking.index)
    asking.reopen()
    assert (await sweep(asking.archive, asking.index)).removed == 0
    check_no_file_has_it(asking)
    assert TO_COMPACT not in asking.rows


async def test_a_sweep_takes_what_was_away_and_lets_go_what_is(
    tmp_path: Path, asking: Asking, subjects: FileSubjectStore
) -> None:
    whole, name = asking.rows, (await subjects.names("subjects/"))[1]
    path = tmp_path / "s" / name
    kept = path.read_bytes()
    path.unlink()
    swept = await sweep(asking.archive, asking.index)
    assert swept.untagged == 1
    assert swept.removed > 0
    assert len(asking.rows) == len(whole) - swept.removed
    assert sum(row.tags == NO_TAGS for row in asking.index.segments()) == 1
    path.write_bytes(kept)
    again = await sweep(asking.archive, asking.index)
    assert (again.added, again.removed, again.untagged) == (swept.removed, 0, 0)
    assert asking.rows == whole


async def test_subject_objects_that_come_late_are_taken_in(
    tmp_path: Path, asking: Asking, subjects: FileSubjectStore
) -> None:
    late = Asking(golden_archive(FileStore(golden.ARCHIVE, True), None), tmp_path / "late")
    await late.catch_up()
    late.archive = asking.archive
    await sweep(late.archive, late.index)
    assert late.rows == asking.rows
