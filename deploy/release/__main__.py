"""`make release` and `make release-check`.

python -m deploy.release build FOLDER            build HEAD's release into an empty folder
python -m deploy.release check                   build it twice, differently, and compare
python -m deploy.release check FOLDER            compare a release with one that is built here
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from subprocess import CalledProcessError

from deploy.release.build import build, build_elsewhere, differing, must_be_empty
from deploy.release.packages import install_tools
from deploy.release.source import commit, uncommitted


def main(words: list[str]) -> int:
    """Exit code: 0 done or the same, 1 not the same, 2 wrong use."""
    if words[:1] not in (["build"], ["check"]) or (len(words) != 2 and words != ["check"]):
        print(__doc__)
        return 2
    if left := uncommitted():
        print(f"{len(left)} changed files are not in it: a release is of a commit")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            if words[0] == "build":
                return _build(work, Path(words[1]))
            return _check(work, Path(words[1]) if words[1:] else None)
        except (OSError, LookupError, RuntimeError, ImportError, CalledProcessError) as error:
            print(error)
            return 2


def _build(work: Path, into: Path) -> int:
    must_be_empty(into)
    install_tools(work / "tools")
    for path in build(commit(), work / "build", work / "tools", into):
        print(path)
    return 0


def _check(work: Path, other: Path | None) -> int:
    install_tools(work / "tools")
    build(commit(), work / "build", work / "tools", work / "one")
    if other is None:
        other = work / "elsewhere" / "two"
        build_elsewhere(commit(), work / "a-longer-name" / "build", work / "tools", other)
    found = differing(work / "one", other)
    for name in found:
        print(f"differs: {name}")
    print("not the same" if found else f"the same, byte for byte: {commit().id}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
