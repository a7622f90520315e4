"""The bench of the index, small: it measures what it says, over an archive that verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.report import Verdict
from bench import index as bench
from bench.archive import COVER, KEYRING, NAME, TRUSTED, BenchArchive


@pytest.fixture
def archive(tmp_path: Path) -> BenchArchive:
    made = BenchArchive(folder=tmp_path, segment_records=100)
    assert made.make(9_000) > 2_000
    return made


def test_the_generated_archive_verifies(archive: BenchArchive) -> None:
    store = archive.store
    names = list(store.walk_sync())
    verifier = ArchiveVerifier(names, store.get_sync, TRUSTED)
    for _ in verifier.run():
        pass
    assert verifier.report.verdict is Verdict.VERIFIED
    assert sum("segments/" in name for name in names) > 8


async def test_every_record_of_the_index_is_found(archive: BenchArchive, tmp_path: Path) -> None:
    round_ = await bench.rebuild(archive, tmp_path / "index")
    index = ArchiveIndex.open(tmp_path / "index", NAME, KEYRING.index_key)
    whole = Archive(archive.store, archive.subjects, TRUSTED, KEYRING)
    lookup = Lookup(index, whole, lambda _: COVER)
    records = 0
    for name in archive.store.walk_sync("segments/"):
        for line in decode(archive.store.get_sync(name) or b"", name).record_lines():
            pub = parse_record(line, name).pub
            found = await lookup.by_source(pub["source"])
            assert found is not None
            assert pub in [each.record.pub for each in found.revisions]
            records += 1
    assert records == round_.records
    index.close()


def test_it_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--events", "500", "--repeat", "1", "--segment-records", "50"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line]
    assert "records/s a core" in rows[0]
    assert [row.split("|")[1].strip() for row in rows[4:]] == [
        "---", "segments of 50, none kept", "segments of 50, all kept",
    ]  # fmt: skip
