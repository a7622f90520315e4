"""The function behind each kind of the table."""

from __future__ import annotations

from tests.campaigns.tampering import archives, certificates, fields, forgeries, insiders, registers
from tests.campaigns.tampering.archives import Mutate
from tests.campaigns.tampering.forgeries import Forge
from tests.campaigns.tampering.table import BARE, FITTED, KINDS, Kind

_OBJECTS = {"flipped": archives.flipped, "dropped": archives.dropped, "cut": archives.cut,
            "swapped": archives.swapped, "doubled": archives.doubled}  # fmt: skip
WAYS = {BARE: fields.BARE, FITTED: fields.FITTED}
_INSIDERS: dict[str, Mutate] = {
    "segment: signed by another key": insiders.strangers_segment,
    "chain: signed by another key from one segment on": insiders.strangers_chain,
    "record: given another status, all signed to fit": insiders.another_status,
    "record: removed, all signed to fit": insiders.record_removed,
    "record: reordered, all signed to fit": insiders.records_reordered,
    "record: added, all signed to fit": insiders.record_added,
    "ledger: another disposition, all signed to fit": insiders.ledger_edited,
    "chain: its last segment dropped": insiders.chain_cut,
    "log: its last batches dropped": insiders.log_cut,
    "chain and log: both cut off at one place": insiders.both_cut,
    "chain and log: cut off, the log signed anew by its key": insiders.begun_anew,
    "log: rewritten by its key": insiders.log_rewritten,
    "log: signed anew by another key": insiders.strangers_log,
    "history: replaced by who holds every key": insiders.history_replaced,
    "register entry: signed by another key": registers.strangers,
    "register entry: renumbered, signed to fit": registers.renumbered,
    "register: two entries reordered, all signed to fit": registers.reordered,
    "register: its last entry dropped": registers.cut,
    "register: an entry of another archive put in": registers.foreign,
    "register: junk put in": registers.junk,
    "log: an entry of a register twice, signed by its key": registers.logged_twice,
    "log: an entry of a register left out, signed by its key": registers.logged_never,
    "subject object: flipped": archives.subject_flipped,
    "subject object: dropped": archives.subject_dropped,
    "subject object: swapped": archives.subjects_swapped,
}
_BUNDLES: dict[str, Forge] = {
    "zip: a bit flipped": forgeries.bit,
    "zip: cut, lengthened or doubled": forgeries.length,
    "zip: packed by another program": forgeries.packed,
    "zip: a name twice": forgeries.name_twice,
    "zip: two headers that differ": forgeries.two_headers,
    "zip: a member compressed": forgeries.compressed,
    "zip: a comment or an extra field": forgeries.commented,
    "signed answer: edited": forgeries.answer_edited,
    "signed answer: signed by another key": forgeries.answer_strangers,
    "signed answer: left out": forgeries.answer_left_out,
    "witness's line: edited": forgeries.witness_edited,
    "segment's header: signed by another key, which is put in": forgeries.header_strangers,
    "checkpoint: signed by another key": forgeries.checkpoint_strangers,
    "checkpoint: of another history, signed by the log's key": forgeries.another_history,
    "bundle: good, and the policy names another log": forgeries.another_policy,
    "bundle: of another archive under the same name": forgeries.strangers_bundle,
    "unproven member: edited or dropped": forgeries.unproven,
    "encrypted fields: edited": forgeries.encrypted,
    "last status: left out, and the answer": forgeries.last_left_out,
    "certificate: edited": certificates.edited,
    "certificate: its proof edited": certificates.proof_edited,
    "certificate: signed anew, by another key or the archive's": certificates.signed_anew,
    "certificate: swapped with another": certificates.swapped,
    "certificate: left out between others": certificates.left_out,
    "certificate: the oldest or newest left out": certificates.end_left_out,
    **{f"member: {how}": forgeries.member(how) for how in _OBJECTS if how != "cut"},
    **{f"proven member: {how}": forgeries.proven_member(how)
       for how in ("flipped", "dropped", "swapped")},
    **{f"{what}: edited, its own hash made to fit": forgeries.edited(what)
       for what in ("record", "proof", "disclosure", "note or stream object", "spelling")},
}  # fmt: skip


def of_archive(kind: Kind) -> Mutate | None:
    """How an archive is changed; None for a kind of bundle."""
    if kind.group == "archive":
        return _OBJECTS[kind.how](kind.what)
    if kind.group == "fields":
        return archives.field(kind.what, WAYS[kind.how])
    return _INSIDERS.get(kind.name) if kind.group in ("insiders", "subjects") else None


def of_bundle(kind: Kind) -> Forge | None:
    """How a bundle is changed; None for a kind of archive."""
    return _BUNDLES.get(kind.name) if kind.group in ("bundle", "forged") else None


#: Kinds that nothing is behind, and functions that no kind names: there must be none.
UNMATCHED = [kind.name for kind in KINDS if (of_archive(kind) or of_bundle(kind)) is None] + sorted(
    {*_INSIDERS, *_BUNDLES} - {kind.name for kind in KINDS}
)
