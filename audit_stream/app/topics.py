"""What the topics of an installation are called."""

from __future__ import annotations

from audit_stream.seal.judge import REKEYED
from audit_stream.settings import Settings
from audit_stream.stream.worker import TABLE


def archived_topics(settings: Settings) -> dict[str, str]:
    """Raw topic -> the topic that is archived for it: itself, or its rekeyed twin."""
    return {t: t + REKEYED if t in settings.rekey_topics else t for t in settings.topics}


def changelog_topic(settings: Settings) -> str:
    """Name of the table's changelog."""
    return f"{settings.app_id}-{TABLE}-changelog"
