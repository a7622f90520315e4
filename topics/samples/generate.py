"""Write the sample: raw events of three topics with every kind of mess, and what must come of them.

Deterministic: the same bytes on every machine (only ``random()`` is drawn, whose sequence Python
keeps stable). ``expected.json`` is reckoned here, apart from the package's own code, so each can
check the other. All people are invented; numbers and domains are those reserved for examples.

    python topics/samples/generate.py [FOLDER]
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SEED = 20_241_130
START = 1_732_950_000  # seconds; Saturday, 30 November 2024, 07:00 UTC
MESSAGES = {
    "outbound_message_status_update": 2_000,
    "outbound_email_status_update": 1_000,
    "outbound_voice_status_update": 400,
}
RANK = {"DELIVERED": 1, "READ": 2, "FAILED": 3, "EXPIRED": 4}
#: How platforms spell them; the first is the canonical name.
WORDS = {
    "DELIVERED": ("DELIVERED", "delivery-success", "Delivered", "Delivery Success"),
    "READ": ("READ", "read", "Read"),
    "FAILED": ("FAILED", "delivery-failed", "Failed"),
    "EXPIRED": ("EXPIRED", "removed", "Expired"),
}
UNKNOWN_WORDS = ("BOUNCED", "deferred", "SOFT_BOUNCE", "unsubscribed", "ÜBERMITTELT")
NAMES = ("Zoë-Ångström", "Müller", 'O\'Brien "Pat"', "李雷", "Иванова", "Åse", "😀kunde", "CUST")
WORKFLOWS = ("wf_payment_reminder", "wf_visit_confirmation", "wf_recall_notice", "wf_welcome")
#: Chains of terminal statuses a message goes through, with their weights.
LIVES = (
    (("DELIVERED",), 46),
    (("DELIVERED", "READ"), 26),
    (("FAILED",), 9),
    (("EXPIRED",), 5),
    (("DELIVERED", "FAILED"), 2),
    (("DELIVERED", "READ", "EXPIRED"), 1),
    ((), 11),
)
#: A message in so many has one event spoiled in each of these ways (`_spoil`).
SPOILS = (
    "unknown-status",
    "number-as-status",
    "no-workflow",
    "no-message-id",
    "no-tenant",
    "personal-data",
    "float-error-code",
    "long-text",
    "control-character",
    "wrong-key",
    "no-key",
)
SPOILED_ONE_IN = 12
#: Whole lines that are no event at all, once in so many messages each.
BROKEN = (b"[]", b"null", b'"just text"', b"", b"{", b"not json at all", b"\xff\xfe\x00", b"42")
BROKEN_ONE_IN = 60


@dataclass(slots=True)
class Line:
    """A line to be written: `verdict` is a status, ``i`` intermediate or ``q`` quarantined."""

    arrival: float
    value: bytes
    verdict: str
    state: tuple[str, str] = ("", "")  # tenant and message id
    key: str | None = None
    wrong_key: bool = False


@dataclass(slots=True)
class Dice:
    """The one source of chance."""

    source: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311

    def below(self, limit: float) -> float:
        """A number in [0, limit)."""
        return self.source.random() * limit

    def pick(self, choices: Any) -> Any:
        """One of a sequence."""
        return choices[int(self.below(len(choices)))]

    def one_in(self, count: int) -> bool:
        """True once in `count`."""
        return self.below(count) < 1

    def hexadecimal(self, digits: int) -> str:
        """So many hex digits."""
        return "".join(self.pick("0123456789abcdef") for _ in range(digits))

    def life(self) -> tuple[str, ...]:
        """One of `LIVES`, by weight."""
        left = self.below(sum(weight for _, weight in LIVES))
        for statuses, weight in LIVES:
            left -= weight
            if left < 0:
                return statuses
        return ()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _recipient(dice: Dice, topic: str, number: int) -> dict[str, Any]:
    name = dice.pick(NAMES)
    address = f"+1555010{number % 10_000:04d}"
    if "email" in topic:
        address = f"person{number}@example.{dice.pick(('com', 'org', 'net'))}"
    external: str | None = f"{name}-{number}"
    if dice.one_in(15):
        external = dice.pick(("", None))
    return {"external_id": external, "address": address}


def _event(dice: Dice, shared: dict[str, Any], word: str, seconds: float) -> dict[str, Any]:
    event_id = f"evt_{shared['message_id'][:8]}_{int(seconds)}_{dice.hexadecimal(4)}"
    return {"id": event_id, **shared, "status": word, "timestamp": _stamp(seconds)}


def _terminal(dice: Dice, shared: dict[str, Any], status: str, seconds: float) -> dict[str, Any]:
    event = _event(dice, shared, dice.pick(WORDS[status]), seconds)
    if status == "FAILED":
        event["error_code"] = dice.pick(("30003", 30_005, "CARRIER_REJECTED", 550))
    if status == "EXPIRED" and dice.one_in(2):  # as Genesys Cloud says it
        event |= {"status": "Failed", "reasons": [{"code": "MessageExpired"}]}
    return event


def _encode(dice: Dice, event: dict[str, Any]) -> bytes:
    escaped = dice.one_in(3)
    separators = (", ", ": ") if dice.one_in(4) else (",", ":")
    return json.dumps(event, ensure_ascii=escaped, separators=separators).encode()


def _message(dice: Dice, topic: str, number: int) -> list[Line]:
    """Every line of one message, unspoiled: intermediates, terminals, repeats, late ones."""
    shared: dict[str, Any] = {
        "type": topic,
        "message_id": "-".join(dice.hexadecimal(digits) for digits in (8, 4, 4, 4, 12)),
        "carrier_message_id": dice.pick((None, f"cm-{number}")),
        "error_code": None,
        "workflow_id": dice.pick(WORKFLOWS),
        "agent_id": dice.pick((None, None, f"agent_{number % 40}")),
        "recipient": _recipient(dice, topic, number),
        "tenant": {"id": dice.pick(("tenant_north", "tenant_south"))},
        "carrier": {"name": "example-carrier", "segments": [1, 2], "cost": {"amount": "0.0075"}},
    }
    state = (shared["tenant"]["id"], shared["message_id"])
    clock = START + dice.below(6 * 3600)
    lines: list[Line] = []

    def add(event: dict[str, Any], verdict: str, arrival: float) -> None:
        value = _encode(dice, event)
        lines.append(Line(arrival, value, verdict, state, shared["message_id"]))

    for word in ("QUEUED", "SENT"):
        clock += dice.below(5)
        late = dice.below(1800) if dice.one_in(20) else 0.0
        add(_event(dice, shared, word, clock), "i", clock + late)
    for status in dice.life():
        clock += 1 + dice.below(240)
        late = dice.below(2 * 3600) if dice.one_in(8) else 0.0  # may be overtaken
        event = _terminal(dice, shared, status, clock)
        add(event, status, clock + late)
        if dice.one_in(9):  # the same event again, seconds later
            add(event, status, clock + late + dice.below(20))
        if dice.one_in(14):  # under a new event id, hours later
            again = {**event, "id": f"evt_again_{dice.hexadecimal(12)}"}
            add(again, status, clock + 3600 + dice.below(5 * 3600))
    return lines


def _spoil(dice: Dice, line: Line, kind: str) -> Line:
    """An invalid or misplaced event made of a good one: quarantined, whatever it says."""
    event = json.loads(line.value)
    spoiled = Line(line.arrival + dice.below(600), b"", "q", key=line.key)
    event["id"] = f"evt_spoiled_{dice.hexadecimal(12)}"
    event["status"] = "DELIVERED"  # an intermediate one would not even be judged
    event.pop("reasons", None)
    match kind:
        case "unknown-status":
            event["status"] = dice.pick(UNKNOWN_WORDS)
        case "number-as-status":
            event["status"] = 3
        case "no-workflow":
            event["workflow_id"] = dice.pick((None, ""))
        case "no-message-id":
            del event["message_id"]
            spoiled.key = None
        case "no-tenant":
            event["tenant"] = {}
        case "personal-data":
            event["workflow_id"] = f"wf_for_{event['recipient']['address']}"
        case "float-error-code":
            event["error_code"] = 30.5
        case "long-text":
            event["agent_id"] = "a" * 257
        case "control-character":
            event["carrier_message_id"] = "cm\u0007"
        case "wrong-key":
            spoiled.key, spoiled.wrong_key = f"not-{event['message_id'][:8]}", True
        case "no-key":
            spoiled.key, spoiled.wrong_key = None, True
    spoiled.value = _encode(dice, event)
    return spoiled


def make_topic(dice: Dice, topic: str) -> list[Line]:
    """All lines of a topic in order of arrival."""
    lines: list[Line] = []
    for number in range(MESSAGES[topic]):
        made = _message(dice, topic, number)
        lines += made
        if dice.one_in(SPOILED_ONE_IN):
            lines.append(_spoil(dice, dice.pick(made), dice.pick(SPOILS)))
        if dice.one_in(BROKEN_ONE_IN):
            arrival = START + dice.below(6 * 3600)
            lines.append(Line(arrival, dice.pick(BROKEN), "q"))
            cut = dice.pick(made).value
            lines.append(Line(arrival + 1, cut[: len(cut) // 2], "q"))
    return sorted(lines, key=lambda line: line.arrival)


def reckon(lines: list[Line]) -> tuple[Counter[str], dict[tuple[str, str], str]]:
    """Counts by disposition and the effective status of each message, by the rank alone."""
    held: dict[tuple[str, str], str] = {}
    counts = Counter(read=len(lines))
    for line in lines:
        if line.verdict in ("i", "q"):
            counts["intermediate" if line.verdict == "i" else "quarantined"] += 1
            continue
        before = RANK.get(held.get(line.state, ""), 0)
        if RANK[line.verdict] > before:
            held[line.state] = line.verdict
            counts["archived"] += 1
        else:
            counts["duplicate" if RANK[line.verdict] == before else "regressed"] += 1
    return counts, held


def write_sample(folder: Path) -> None:
    """All files of the sample."""
    dice = Dice()
    totals: Counter[str] = Counter()
    effective: Counter[str] = Counter()
    by_topic: dict[str, Counter[str]] = {}
    for topic in MESSAGES:
        lines = make_topic(dice, topic)
        counts, held = reckon(lines)
        by_topic[topic] = counts
        totals += counts
        effective += Counter(held.values())
        text = b"".join(line.value + b"\n" for line in lines)
        (folder / f"{topic}.jsonl.gz").write_bytes(gzip.compress(text, 9, mtime=0))
        keys = {number: line.key for number, line in enumerate(lines, 1) if line.wrong_key}
        _write_json(folder / f"{topic}.keys.json", keys)
    _write_json(
        folder / "expected.json", {"counts": totals, "by_topic": by_topic, "effective": effective}
    )


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
