"""Every command with its help, arguments, options, and what its exit codes mean."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from audit_stream.cli.main import (
    CANNOT_JUDGE,
    COMMANDS,
    EPILOG,
    FOUND,
    GOOD,
    INTERNAL,
    WRONG_USE,
    main,
)
from audit_stream.stream.process import EXIT_FENCED
from docs.generator.markdown import anchor, flat, table

_EXIT_CODES = {
    GOOD: "good; of a service: it was asked to stop, and did",
    FOUND: "something is wrong: with what was looked at, or with what was to be done; also Ctrl-C",
    WRONG_USE: "wrong use, or an operator has to act: arguments, settings, keys, rights",
    CANNOT_JUDGE: "it cannot judge: a newer release wrote it, or it could not be read",
    INTERNAL: "a bug, a process that hung, or a worker at work that ended itself: its last line "
    "has the code",
    EXIT_FENCED: "a worker that another one replaced, or whose topic began a generation: start it "
    "again",
}
_WORDS = {str: "text", Path: "path", int: "number", float: "number"}


def page() -> str:
    """The whole command line."""
    rows = [
        [f"[`audit-stream {name}`](#{anchor(f'audit-stream {name}')})", entry.help]
        for name, entry in COMMANDS.items()
    ]
    codes = [[str(code), means] for code, means in sorted(_EXIT_CODES.items())]
    return "".join((
        "# Commands\n\n",
        table(["command", "what it does"], rows),
        (f"\n{EPILOG}\n\nWhich error ends with which code: [errors](errors.md). The bundle's own "
        "`verify.py` has other codes ([the bundle](../spec/bundle.md)).\n\n"),
        table(["exit code", "meaning"], codes),
        "\nBefore any command:\n\n",
        table(["option", "default", "meaning"], map(_option, main.params)),
        *(section for name in COMMANDS for section in _sections(_named(name), name)),
    ))  # fmt: skip


def _named(name: str) -> Any:
    return main.get_command(click.Context(main), name)


def _sections(command: Any, path: str) -> Iterator[str]:
    """The command's section, then those of the commands below it."""
    below = getattr(command, "commands", {})
    words = [_word(p) for p in command.params if not _is_option(p)]
    usage = " ".join(["audit-stream", path, *words])
    level = "#" * (2 + path.count(" "))
    yield f"\n{level} audit-stream {path}\n\n`{usage}`\n\n{_text(command.help)}\n"
    arguments = [[f"`{_word(p)}`", p.help or ""] for p in command.params if not _is_option(p)]
    if arguments:
        yield "\n" + table(["argument", "meaning"], arguments)
    if options := [_option(p) for p in command.params if _is_option(p)]:
        yield "\n" + table(["option", "default", "meaning"], options)
    for name, one in below.items():
        yield from _sections(one, f"{path} {name}")


def _text(help_text: str | None) -> str:
    paragraphs = (help_text or "").replace("\b", "").split("\n\n")
    return "\n\n".join(flat(paragraph) for paragraph in paragraphs)


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-")


def _word(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return word if argument.required else f"[{word}]"


def _option(option: Any) -> list[str]:
    spelled = " or ".join(f"`{word}`" for word in (*option.opts, *option.secondary_opts))
    takes = "" if option.is_flag else f" {_taken(option)}"
    return [spelled + takes, _default(option), flat(option.help)]


def _taken(option: Any) -> str:
    described = getattr(option, "type_descriptor", None)
    annotation = described.annotation if described is not None else Path
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(typing.get_args(annotation))
    single = (typing.get_args(annotation) or (annotation,))[0]
    many = ", repeatable" if option.multiple else ""
    least = f" from {option.min}" if getattr(option, "min", None) is not None else ""
    return f"{_WORDS[single]}{least}{many}"


def _default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    if option.required:
        return "must be given"
    if option.is_flag:
        return "on" if option.default is True else "off"
    empty = option.default in (None, "") or not isinstance(option.default, str | int | float | Path)
    return "none" if empty else f"{option.default}"
