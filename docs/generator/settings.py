"""Every setting by group."""

from __future__ import annotations

from audit_stream.settings import Settings, env_name
from docs.generator.markdown import table

_HEAD = "# Settings\n\nFlag, environment variable, or line of a TOML file, in this order.\n"


def page() -> str:
    """Name, default and meaning."""
    parts = [_HEAD]
    for group in Settings.groups():
        rows = []
        for name, field in group.model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            default = extra.get("shown_default", field.default)
            rows.append([f"`{env_name(name)}`", _shown(default), field.description or ""])
        parts.append(f"\n## {(group.__doc__ or '').strip()}\n\n")
        parts.append(table(["setting", "default", "meaning"], rows))
    return "".join(parts)


def _shown(default: object) -> str:
    shown = getattr(default, "label", default)
    if isinstance(shown, tuple | dict):
        shown = ", ".join(map(str, shown))
    return "none" if shown in (None, "") else str(shown)
