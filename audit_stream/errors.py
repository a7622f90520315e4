"""Every error the product raises: a stable code, whose fault it is, and what to do about it.

Only the command line turns an error into an exit code; the message is one sentence that says what
is wrong and where, the hint one that says what to do. Neither ever holds personal data.
"""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """Who has to act."""

    INPUT = "input"
    PEER = "peer"
    OPERATOR = "operator"
    BUG = "bug"


class AuditError(Exception):
    """Root of the family. `code` is stable and has a heading in the runbooks."""

    code = "AS-0000"
    fault = Fault.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(AuditError):
    """A setting, or two that do not fit together. Exit code 2."""

    code = "AS-1001"
    fault = Fault.OPERATOR


class AssuranceError(ConfigError):
    """The archive's store protects less than was asked for, or than it did. Exit code 2."""

    code = "AS-1002"


class KeyringError(AuditError):
    """The keyring is missing, malformed, of another archive, or older than the archive."""

    code = "AS-1101"
    fault = Fault.OPERATOR


class NoYearKey(KeyringError):
    """The keyring has no key of a record's year: it was destroyed, or the time is wrong."""

    code = "AS-1102"


class VaultAway(KeyringError):
    """The Key Vault that wraps the cover does not answer: the same call may go through later."""

    code = "AS-1103"


class TopicError(AuditError):
    """A topic is missing, has the wrong shape, was recreated or repartitioned."""

    code = "AS-1201"
    fault = Fault.OPERATOR


class StateError(AuditError):
    """The state directory is in use, cannot be written, or does not belong to this worker."""

    code = "AS-1301"
    fault = Fault.OPERATOR


class FormatError(AuditError):
    """Stored bytes do not have the form the specification gives them."""

    code = "AS-2001"
    fault = Fault.PEER


class UnknownVersion(FormatError):
    """A format version this release does not know: it cannot judge, and every process that meets
    one ends (exit code 3)."""

    code = "AS-2002"


class StoreError(AuditError):
    """The store did not do what was asked."""

    code = "AS-3001"
    fault = Fault.PEER


class StoreTransient(StoreError):
    """Time-out, reset, throttling, server error: the same call may go through later."""

    code = "AS-3002"

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after  # seconds, where the store named them


class StoreRefused(StoreError):
    """Credentials, permissions, read-only or configuration: repeating it cannot help."""

    code = "AS-3003"
    fault = Fault.OPERATOR


class ForkAlarm(AuditError):
    """Two valid histories for one name: the worst thing an archive can show."""

    code = "AS-4001"
    fault = Fault.PEER


class Diverged(ForkAlarm):
    """The archive and its second store have other bytes under one name, or one that is not the
    other's copy; neither is overwritten."""

    code = "AS-4004"


class Superseded(AuditError):
    """An operator began the topic's next generation: the process must start again in it."""

    code = "AS-4002"
    fault = Fault.OPERATOR


class Tampered(AuditError):
    """A stored object is not what was archived under its name, or is gone; the message says what
    failed."""

    code = "AS-4003"
    fault = Fault.PEER


class BrokerError(AuditError):
    """Kafka did not do what was asked."""

    code = "AS-5001"
    fault = Fault.PEER


class BrokerRefused(BrokerError):
    """Kafka will not do it for this user: repeating it cannot help."""

    code = "AS-5003"
    fault = Fault.OPERATOR


class Fenced(BrokerError):
    """Another worker owns the partition now; nothing of ours may be written."""

    code = "AS-5002"


class RequestError(AuditError):
    """A request (of an erasure, a hold, a disposal) that cannot be filed, approved or undone."""

    code = "AS-8001"
    fault = Fault.INPUT


class BarrierError(AuditError):
    """A process has not taken over the newest key epoch yet, and is not known to be gone."""

    code = "AS-8002"
    fault = Fault.PEER


class NoticeError(AuditError):
    """A receiver that had been sent personal fields has not acknowledged their erasure, and nobody
    has excused it."""

    code = "AS-8003"
    fault = Fault.PEER


class AlertError(AuditError):
    """The receiver of alarms did not take one: the same alarm may go through later."""

    code = "AS-6001"
    fault = Fault.PEER

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after  # seconds, where the receiver named them


class AlertRefused(AlertError):
    """The receiver does not take this alarm, however often it is sent."""

    code = "AS-6002"
    fault = Fault.OPERATOR


class AnchorError(AuditError):
    """A timestamp authority or witness did not vouch for a checkpoint: it may for a later one."""

    code = "AS-7001"
    fault = Fault.PEER


class AnchorRefused(AnchorError):
    """It will not, however often it is asked: it does not know the log, or the key, or the user."""

    code = "AS-7002"
    fault = Fault.OPERATOR


class DeliveryConflict(AuditError):
    """Two processes deliver to one target: this one stops."""

    code = "AS-9001"
    fault = Fault.OPERATOR


class DeliveryBrake(AuditError):
    """The receiver rejects one record after the other: it is not the records' fault."""

    code = "AS-9002"
    fault = Fault.PEER
