"""`report.html`: what the bundle holds, for a person and for printing. It proves nothing itself.

No script, no network, no personal data beyond the disclosures in the bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import orjson

from audit_stream.bundle.facts import BundleFacts, CertificateFact, Certified, RecordFact
from audit_stream.evidence.checkpoint import checkpoint_of
from audit_stream.evidence.encoding import b64u_decode
from audit_stream.evidence.note import parse_note
from audit_stream.evidence.record import PERSONAL_FIELDS

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5rem; }
th, td { border: 1px solid #8888; padding: .3rem .5rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th[scope=row] { width: 15rem; font-weight: 600; }
section { break-inside: avoid; }
code { font-size: .9em; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } }
"""
_FIELDS = {
    "delivery_status": "Status",
    "carrier_status": "Carrier's word",
    "carrier_receipt_timestamp": "Carrier's time",
    "ingestion_timestamp": "Received by the archive's broker",
    "carrier_error_code": "Carrier's error code",
    "carrier_message_id": "Carrier's message id",
    "communication_type": "Kind",
    "originating_workflow_id": "Workflow",
    "originating_agent_id": "Agent",
    "regulatory_tag": "Retention class",
    "platform_tenant_id": "Tenant",
    "source": "Position in the source",
    "revision": "Revision",
}
_PERSONAL = {"customer_external_id": "Customer", "recipient_address": "Recipient's address"}
_HIDDEN = "not shown here"


def report(facts: BundleFacts, records: Sequence[RecordFact]) -> bytes:
    """The page; `records` in the order they are shown within a message."""
    checkpoint = checkpoint_of(parse_note(facts.checkpoint, "a checkpoint"), "a checkpoint")
    custody = facts.custody
    about = {
        "Archive": checkpoint.origin, "Log size": str(checkpoint.size),
        "Log root": checkpoint.root.hex(), "Exported by": custody.exported_by,
        "Exported at": custody.exported_at, "Request": custody.request,
        "Software": custody.software, "Records": str(len(records)),
        "Outside anchors": ", ".join(sorted(facts.anchors)) or "none in this bundle",
    } | _erasure(facts.certificates) | _disposals(facts.disposals)  # fmt: skip
    parts = [_HEAD, _table(about), _HOW]
    messages: dict[tuple[str, str], list[RecordFact]] = {}
    for each in records:
        pub = each.pub
        messages.setdefault((pub["platform_tenant_id"], pub["message_uuid"]), []).append(each)
    for (_, message), found in messages.items():
        parts.append(f"<h2>Message <code>{escape(message)}</code></h2>\n")
        parts += map(_record, sorted(found, key=lambda each: each.pub["ingestion_timestamp"]))
    return "".join((*parts, "</main>\n</body>\n</html>\n")).encode()


def _erasure(found: Certified | None) -> dict[str, str]:
    """Of whom fields were erased, a person is told where to read on."""
    if found is None:
        return {}
    count = found.next - found.first
    if not found.shown:
        return {"Certificates of erasure": "none that this log has can be of what was erased here"}
    return {
        "Certificates of erasure": f"of what was erased here it is one of {count}, numbers "
        f"{found.first} to {found.next - 1}; {len(found.shown)} are in certificates/"
    }


def _disposals(found: Sequence[CertificateFact]) -> dict[str, str]:
    """Where the first statuses here are not the first there were."""
    names = ", ".join(f"certificates/{each.key}.json" for each in found)
    if not found:
        return {}
    return {"Earlier statuses": f"disposed of after their retention, as certified by {names}"}


def _record(record: RecordFact) -> str:
    pub = record.pub
    rows = {label: _shown(pub[name]) for name, label in _FIELDS.items()}
    rows |= _personal(record)
    rows["SHA-256 of its fields"] = str(orjson.loads(record.line)["integrity_hash"])[7:]
    rows["Files"] = f"records/{record.key}.json, proofs/{record.key}.tlog-proof"
    title = f"{pub['delivery_status']}, {pub['carrier_receipt_timestamp']}"
    return f"<section>\n<h3>{escape(title)}</h3>\n{_table(rows)}</section>\n"


def _personal(record: RecordFact) -> dict[str, str]:
    shown = dict(_disclosed(record.disclosures))
    hidden = "erased before it was archived" if "erased" in record.pub else _HIDDEN
    return {
        _PERSONAL[name]: _shown(shown[name]) if name in shown else hidden
        for name in PERSONAL_FIELDS
    }


def _disclosed(disclosures: Iterable[str]) -> Iterable[tuple[str, str | None]]:
    for each in disclosures:
        _, name, value = orjson.loads(b64u_decode(each, "a disclosure"))
        yield name, value


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _table(rows: Mapping[str, str]) -> str:
    lines = (
        f'<tr><th scope="row">{escape(label)}</th><td>{escape(value)}</td></tr>\n'
        for label, value in rows.items()
    )
    return f"<table>\n{''.join(lines)}</table>\n"


_HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evidence report</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Evidence report</h1>
"""
_HOW = """<p>This page shows what the records beside it hold; it proves nothing by itself. To
check them, open <code>verify.html</code> or run <code>verify.py</code> (README.txt says how): both
recompute every hash and signature from the files and say what holds.</p>
<p>The archive took each status as the carrier or platform reported it. It shows what was reported,
when, and that it has not changed since; not that the report was true. That no later status exists
cannot be seen from these files.</p>
"""
