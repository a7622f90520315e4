"""Write docs/reference from the code; ``--check`` fails when a page is stale."""

from __future__ import annotations

import sys
from pathlib import Path

# The generator and the campaign it reads are no part of the package.
sys.path.insert(0, str(Path(__file__).parents[1]))
from docs.generator import (
    alerts,
    cli,
    dispositions,
    errors,
    metrics,
    personal_data,
    precedence,
    settings,
    tampering,
    topics,
)

REFERENCE = Path(__file__).parent / "reference"
PAGES = {
    "alerts.md": alerts.page,
    "cli.md": cli.page,
    "dispositions.md": dispositions.page,
    "errors.md": errors.page,
    "metrics.md": metrics.page,
    "personal-data.md": personal_data.page,
    "precedence.md": precedence.page,
    "settings.md": settings.page,
    "tampering.md": tampering.page,
    "topics.md": topics.page,
}


def main(check: bool) -> int:
    """Write, or compare; 1 when a page is not what the code says."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run `make docs`")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
