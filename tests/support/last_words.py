"""A process whose last word is an alarm."""

from __future__ import annotations

from audit_stream.app.alarms import alarm_board
from audit_stream.settings import Settings
from audit_stream.stream.process import EXIT_INTERNAL, die

if __name__ == "__main__":
    board = alarm_board(Settings.load(None))
    board.raise_alarm("fork:last-words", "two segments under one name")
    die(EXIT_INTERNAL, "a fork", last_words=board.flush)
