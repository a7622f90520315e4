"""The barrier: nobody holds the old keys any more, and nothing sealed with them can still come.

A process passes when it says that it has loaded the new epoch (`archive.fleet`). One that says
nothing blocks, until it is shown to be gone and unable to seal: a worker that has left the group,
once every partition's chain goes on under the new epoch, so that no name is left that it could put
a segment under; any process once a person has found it gone, which the certificate says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from audit_stream.archive.chain import Chain
from audit_stream.archive.fleet import Member, forget_ended, members
from audit_stream.archive.private import Kept, PrivateObjects
from audit_stream.archive.streams import generations
from audit_stream.erasure.batch import JOURNAL, Step, decode_batch
from audit_stream.erasure.request import LONGEST_REASON, check_words
from audit_stream.errors import RequestError
from audit_stream.evidence import layout
from audit_stream.evidence.redaction import check_actor
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import WormStore
from audit_stream.privacy.private_object import FOLDER

EXCUSED = f"{FOLDER}excused/"
_VERSION = "audit-excuse/1"
#: Of each worker in the consumer group its process id, or what it is known as there if it says
#: none; and its name, if it is a static member. `BrokerError` when the broker cannot be asked.
AskGroup = Callable[[], Awaitable[Sequence[tuple[str, str | None]]]]


@dataclass(frozen=True, slots=True)
class Blocker:
    """A process that is waited for."""

    process: str
    role: str
    why: str
    said: str = ""  # when it was last heard of


@dataclass(frozen=True, slots=True)
class Looked:
    """The fleet at one moment."""

    acknowledged: int  # processes that hold the new epoch
    blockers: Sequence[Blocker]
    excused: Sequence[dict[str, str]]  # {"by","process","reason","role"}


class Barrier:
    """Looks at the fleet for one epoch."""

    def __init__(
        self, private: PrivateObjects, store: WormStore, keys: TrustedKeys, group: AskGroup,
        epoch: int,
    ) -> None:  # fmt: skip
        self._private, self._store, self._keys = private, store, keys
        self._group, self._epoch = group, epoch

    async def look(self) -> Looked:
        """Who has passed, who has not, and who is excused: those are not looked for again."""
        known = await members(self._private)
        in_group = {_process_of(*each, known) for each in await self._group()}
        behind = [each for each in known if each.epoch < self._epoch]
        excuses = {
            each.name.removeprefix(EXCUSED): each for each in await self._excuses()
            if each.value["epoch"] == self._epoch  # of an earlier erasure: it may be back since
        }  # fmt: skip
        sealed_on = await self.passed() if behind else False
        blockers, excused = list[Blocker](), list[dict[str, str]]()
        for each in behind:
            excuse = _excuse(each, excuses, in_group, sealed_on)
            if excuse is None:
                blockers.append(Blocker(each.process, each.role, _why(each, in_group), each.said))
            else:
                excused.append({"process": each.process, "role": each.role, **excuse})
        for stranger in in_group - {each.process for each in known}:
            blockers.append(Blocker(stranger, "worker", "is in the group and not registered"))
        return Looked(len(known) - len(behind), blockers, excused)

    async def passed(self) -> bool:
        """Whether every open partition goes on under the epoch: who seals under an older one finds
        its name taken."""
        topics = {
            place[0]
            for name in await self._store.names("streams/")
            if (place := layout.parse_stream_name(name)) is not None
        }
        for topic in sorted(topics):
            newest = (await generations(self._store, self._keys, topic))[-1]
            for partition in range(newest.partitions):
                last = await Chain(self._store, self._keys, newest, partition).last()
                if last is None or last.segment.header.key_epoch < self._epoch:
                    return False
        return True

    async def forget(self, excused: Sequence[dict[str, str]]) -> None:
        """Take away the words of processes that are gone, once it is on record that they are."""
        await forget_ended(self._private, [each["process"] for each in excused])
        for kept in await self._excuses():
            await self._private.remove(kept)

    async def _excuses(self) -> list[Kept]:
        return await self._private.all(EXCUSED)


def _process_of(process: str, name: str | None, known: Sequence[Member]) -> str:
    """Of a static member the process that came last under its name: the broker may still say the
    one before. Who has come to the newest epoch outlived those who never did, whatever their
    clocks say; of several, or none, the clocks are asked."""
    named = [each for each in known if name is not None and each.host == name]
    return max(named, key=lambda each: (each.epoch, each.since)).process if named else process


def _excuse(
    member: Member, excuses: dict[str, Kept], in_group: set[str], sealed_on: bool
) -> dict[str, str] | None:
    if (kept := excuses.get(member.process)) is not None:
        return {"by": str(kept.value["by"]), "reason": str(kept.value["reason"])}
    if member.role == "worker" and member.process not in in_group and sealed_on:
        return {
            "by": "keeper",
            "reason": "left the group; every partition was sealed on under the new epoch",
        }
    return None


def _why(member: Member, in_group: set[str]) -> str:
    if member.process in in_group:
        return "is in the group and has not loaded the new epoch"
    said = "is loading its keys" if member.epoch == 0 else f"has the epoch {member.epoch}"
    return f"{said}, on {member.host}"


async def excuse(private: PrivateObjects, process: str, by: str, reason: str) -> None:
    """A person has found that a process is gone for good, and its memory with it: for the erasure
    at work, and for no later one. `RequestError` when that one does not wait for it: an excuse that
    stands for nobody would be taken for one. `FormatError`."""
    check_actor(by)
    check_words(reason, "a reason", LONGEST_REASON)
    kept = await private.get(JOURNAL)
    batch = None if kept is None else decode_batch(kept.value)
    if batch is None or batch.step is not Step.PUNCTURED:
        raise RequestError(
            f"no erasure waits for the process {process}",
            hint="an excuse is for the erasure at work: say it when audit-stream redact run does",
        )
    epoch = batch.epochs[1]
    waited_for = sorted(each.process for each in await members(private) if each.epoch < epoch)
    if process not in waited_for:
        raise RequestError(
            f"the erasure at work does not wait for the process {process}",
            hint=f"it waits for {', '.join(waited_for) or 'none that said it holds keys'}: "
            "audit-stream redact fleet",
        )
    value = {"by": by, "epoch": epoch, "reason": reason, "v": _VERSION}
    await private.update(EXCUSED + process, lambda _: value)
