"""What the pages say, held against what is in the archive."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.gateway.pages import words
from audit_stream.gateway.pages.message import checked, shown
from audit_stream.gateway.pages.report import COLUMNS, harmless
from tests.support.asking import serving
from tests.support.sample import EMAIL, MESSAGES, TENANTS, VOICE, make_sample
from tests.support.visiting import Visitor, forms, tags, text_of
from tests.unit.gateway.pages.conftest import DAYS, Site


def pubs(site: Site) -> list[dict]:
    store = site.sample.store
    return [
        dict(parse_record(line, "x").pub)
        for name in store.walk_sync("segments/")
        for line in decode(store.get_sync(name) or b"", name).record_lines()
    ]


def stated(site: Site, message: str) -> list[tuple[str, str]]:
    """Status and carrier's time of a message's records, in words."""
    found = [each for each in pubs(site) if each["message_uuid"] == message]
    return [
        (words.STATUS[each["delivery_status"]], words.moment(each["carrier_receipt_timestamp"]))
        for each in sorted(found, key=lambda each: each["revision"])
    ]


def test_a_message_is_told_in_words(site: Site, visitor: Visitor) -> None:
    page = visitor.look_up(message_uuid=site.sample.read,
                           customer_external_id=site.sample.customer)  # fmt: skip
    text = text_of(page)
    (_, delivered), (_, read) = stated(site, site.sample.read)
    assert re.search(r"\d{1,2} [A-Z][a-z]+ \d{4} \d\d:\d\d:\d\d UTC", read)
    assert f"Delivered {delivered}, read {read}, verified." in text
    assert f"Read {read}" in text
    for part in (site.sample.customer, "What was checked", "No outside anchor", "Place in the log",
                 "sha256:", "whose protection nobody can lift"):  # fmt: skip
        assert part in text
    assert "contradict" not in text


def test_a_contradiction_is_loud_and_both_stand(site: Site, visitor: Visitor) -> None:
    text = text_of(visitor.look_up(message_uuid=site.sample.contradicted))
    assert "The statuses contradict each other." in text
    assert "is disputed" in text
    assert words.MEANING["FAILED"] not in text
    for status, at in stated(site, site.sample.contradicted):
        assert f"{status} {at}" in text


def test_an_erased_person_is_said_to_be(site: Site) -> None:
    answer = site.asked.get(site.asked.token(), message_uuid=site.sample.read).json()
    answer["redaction"] = {"erased": True, "certificates": None, "certificate_id": "rc-1"}
    answer["audit_record"]["customer_external_id"] = None
    answer["history"] = [{**each, "personal": "erased"} for each in answer["history"]]
    it = shown(answer)
    assert it.erased == "Redaction certificate rc-1."
    assert it.facts["Customer"] == "not shown"
    assert {step.personal for step in it.steps} == {words.PERSONAL["erased"]}
    assert not any("decrypted" in each for each in checked(answer))


def test_an_unknown_message_says_how_far_the_archive_is(site: Site, visitor: Visitor) -> None:
    page = visitor.look_up(message_uuid="nobody")
    assert page.status_code == 404
    for topic in (MESSAGES, EMAIL, VOICE):
        assert f"{topic}: partition 0 up to position" in text_of(page)
    assert "No outside anchor" in text_of(page)


def test_all_of_a_customer_s_messages_are_reached(site: Site, visitor: Visitor) -> None:
    wanted = Counter()
    page = visitor.look_up(
        customer_external_id=site.sample.customer, platform_tenant_id=site.sample.tenant
    )
    while True:
        shown = [each.fields["message_uuid"] for each in forms(page, "/look-up")[:-1]
                 if "cursor" not in each.fields]  # fmt: skip
        wanted.update(shown)
        onward = [each for each in forms(page, "/look-up") if "cursor" in each.fields]
        if not onward:
            break
        page = visitor.post("/look-up", onward[0].fields)
    assert wanted.total() == len(wanted) > 3
    one = visitor.post("/look-up", forms(page, "/look-up")[0].fields)
    assert site.sample.customer in text_of(one)


def test_the_overview_names_every_flaw(site: Site, visitor: Visitor) -> None:
    text = text_of(visitor.get("/overview"))
    day = {back: words.day((site.sample.end - timedelta(days=back)).date()) for back in range(DAYS)}
    for part in (
        "Something is missing", "14 events lost", "Nothing is late", "Write-once, locked",
        "2 events in quarantine", "3 events put there in all",
        "No outside anchor", f"Partition 1, {day[9]}: 14 events missing",
        f"Partition 0, {day[5]}: sealed up to 3 hours late",
    ):  # fmt: skip
        assert part in text
    page = visitor.get("/overview")
    strips = [a for tag, a in tags(page) if tag == "svg" and a.get("role") == "img"]
    assert len(strips) == 6
    assert sum(a.get("class") == "hole" for tag, a in tags(page) if tag == "rect") == 2  # + legend
    labels = " ".join(each["aria-label"] or "" for each in strips)
    assert f"{day[9]}: 14 events missing" in labels


def test_days_can_be_turned_back_and_nonsense_is_refused(site: Site, visitor: Visitor) -> None:
    today = datetime.now(UTC).date()
    page = visitor.get("/overview", until=str(today - timedelta(days=200)))
    assert "14 events missing" not in text_of(page)
    assert "Something is missing" in text_of(page)  # the dashboard is of all days
    for until in ("yesterday", "0001-01-01", "9999-12-31", "1970-01-05"):
        assert visitor.get("/overview", until=until).status_code == 400


def test_an_archive_without_flaws_says_so(tmp_path: Path) -> None:
    sample = asyncio.run(make_sample(tmp_path, days=5, flawed=False, anchored=True))
    with serving(sample.settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        text = text_of(visitor.get("/overview"))
        for part in ("Nothing is missing", "Nothing is late", "Nothing in quarantine",
                     "Vouched for from outside", "witness",
                     "Nothing is missing, late or in quarantine in what is archived"):  # fmt: skip
            assert part in text
        message = text_of(visitor.look_up(message_uuid=sample.read))
        assert "No outside anchor" not in message
        assert "They vouch for the first" in message
        assert "Every file of this message is among them." in message
        visitor.client.close()


@pytest.mark.parametrize(
    ("waiting", "ago", "said"),
    [
        (7, timedelta(minutes=3), ("Something is late", "7 events waited for more than 2 min")),
        (7, timedelta(), ("Partition 0, now: 7 events not archived yet", "has not watched for")),
        (0, timedelta(hours=1), ("The log is late",)),
    ],
)
def test_what_is_late_is_said_to_be(
    tmp_path: Path, waiting: int, ago: timedelta, said: tuple[str, ...]
) -> None:
    end = datetime.now(UTC) - ago
    sample = asyncio.run(make_sample(tmp_path, days=2, flawed=False, end=end, waiting=waiting))
    with serving(sample.settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        text = text_of(visitor.get("/overview"))
        assert all(part in text for part in said)
        assert "Nothing is late" not in text
        visitor.client.close()


@pytest.mark.parametrize(
    ("assurance", "said"),
    [("mutable", "Can be rewritten"), ("worm_unlocked", "Write-once, not locked")],
)
def test_what_can_be_rewritten_is_said_to_be(tmp_path: Path, assurance: str, said: str) -> None:
    sample = asyncio.run(make_sample(tmp_path, days=3, flawed=False, assurance=assurance))
    with serving(sample.settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        assert said in text_of(visitor.get("/overview"))
        assert words.ASSURANCE[assurance] in text_of(visitor.look_up(message_uuid=sample.read))
        visitor.client.close()


def test_an_end_that_was_cut_off_is_missing(tmp_path: Path) -> None:
    sample = asyncio.run(make_sample(tmp_path, days=3, flawed=False))
    folder = sample.settings.archive_path / "segments" / MESSAGES / "00001" / "00001"
    max(folder.glob("*.gz")).unlink()
    with serving(sample.settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        text = text_of(visitor.get("/overview"))
        assert "Something is missing" in text
        assert f"{MESSAGES}/1/1: the archive's log has other files" in text
        assert "Partition 1, now: the archive's log has other files" in text
        unknown = visitor.look_up(message_uuid="nobody")
        assert (unknown.status_code, "may be archived" in text_of(unknown)) == (404, True)
        assert "No such message is archived" not in text_of(unknown)
        sound = next(p for p in pubs(Site(asked, sample)) if p["source"].startswith(EMAIL))
        for page in (visitor.look_up(message_uuid=sound["message_uuid"]), visitor.get("/report")):
            assert (page.status_code, "There may be more" in text_of(page)) == (200, True)
        assert "has not read everything that is stored" in text_of(visitor.get("/archive"))
        visitor.client.close()


def test_archive_and_quarantine(site: Site, visitor: Visitor) -> None:
    archive = text_of(visitor.get("/archive"))
    for part in ("closed: the store answers", "has read everything", "None is open", VOICE,
                 "No outside anchor"):  # fmt: skip
        assert part in archive
    quarantine = text_of(visitor.get("/quarantine"))
    assert len(site.sample.retried) == 1
    assert f"{VOICE} 3 1 2" in quarantine
    assert quarantine.count("archived since") == 1
    assert quarantine.count("1 left") == 2


def effective(site: Site) -> Counter[tuple[str, ...]]:
    """Each message's last revision, counted by what the report counts by."""
    last: dict[str, dict] = {}
    for pub in pubs(site):
        held = last.get(pub["message_uuid"])
        if held is None or pub["revision"] > held["revision"]:
            last[pub["message_uuid"]] = pub
    return Counter(
        (each["platform_tenant_id"], each["originating_workflow_id"], each["communication_type"],
         each["delivery_status"], each["carrier_error_code"] or "")
        for each in last.values()
    )  # fmt: skip


def test_the_report_counts_every_message_once(site: Site, visitor: Visitor) -> None:
    answer = visitor.get("/report.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    head, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert tuple(head) == COLUMNS
    found = Counter({tuple(row[:-1]): int(row[-1]) for row in rows})
    assert found == effective(site)
    mine = site.signed_in(TENANTS[1]).get("/report.csv")
    _, *rows = csv.reader(io.StringIO(mine.text, newline=""))
    theirs = {key: n for key, n in found.items() if key[0] == TENANTS[1]}
    assert {tuple(row[:-1]): int(row[-1]) for row in rows} == theirs
    page = visitor.get("/report")
    assert f"{found.total():,} messages from" in text_of(page)
    assert "CUST-" not in page.text + answer.text
    assert "+1555" not in page.text + answer.text


def test_a_report_s_days_are_those_of_the_broker(site: Site, visitor: Visitor) -> None:
    days = [(site.sample.end - timedelta(days=back)).date() for back in range(DAYS, -1, -1)]
    sums = []
    for day in days:
        rows = visitor.get("/report.csv", **{"from": str(day), "to": str(day)}).text.splitlines()
        sums.append(sum(int(row.rpartition(",")[2]) for row in rows[1:]))
    assert sum(sums) == effective(site).total()
    assert sums[-1] == 0  # nothing came today
    for first, last in (("2026-13-01", "2026-11-01"), ("2026-11-02", "2026-11-01"),
                        ("2020-01-01", "2026-11-01"), ("1960-01-01", "1960-01-02")):  # fmt: skip
        assert visitor.get("/report", **{"from": first, "to": last}).status_code == 400


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=x", "\uff1d1", "\uff20x"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless(f"a{text}") == f"a{text}"


def test_a_changed_object_is_told_loudly(tmp_path: Path) -> None:
    sample = asyncio.run(make_sample(tmp_path, days=3, flawed=False))
    with serving(sample.settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        assert visitor.look_up(message_uuid=sample.read).status_code == 200
        for path in (sample.settings.archive_path / "segments" / MESSAGES).rglob("*.gz"):
            path.chmod(0o600)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        page = visitor.look_up(message_uuid=sample.read)
        assert page.status_code == 409
        assert "What is stored is not what was archived" in text_of(page)
        assert "Do not rely on this record" in text_of(page)
        assert "Verified" not in text_of(page)
        assert asked.journal()[-1]["status"] == 409
        assert "tampered:" in text_of(visitor.get("/archive"))  # the alarm
        form = forms(page, "/look-up")[0].fields["form"]
        bundle = visitor.post("/bundle", {"form": form, "message_uuid": sample.read})
        assert bundle.status_code == 409
        assert bundle.headers["content-type"].startswith("text/html")
        visitor.client.close()
