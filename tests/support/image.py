"""The image's Dockerfile, read and rehearsed: its build steps run here, with no engine at hand.

What is not rehearsed: the base image, Debian's packages in it, and that layers come out as said.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
#: Places of the image that lie under the rehearsal's own root.
PLACES = ("/src", "/wheels", "/opt/audit-stream", "/var/lib/audit-stream")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined."""

    word: str
    text: str

    @property
    def exec_form(self) -> list[str] | None:
        """The JSON list it ends in, or None where there is none."""
        found = re.search(r"\[.*\]$", self.text)
        return None if found is None else orjson.loads(found[0])

    @property
    def pairs(self) -> dict[str, str]:
        """`NAME=value` of ENV and LABEL."""
        found = re.findall(r'([\w.-]+)=("[^"]*"|\S+)', self.text)
        return {name: value.strip('"') for name, value in found}


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [found for found in self.instructions if found.word == word]

    def last(self, word: str) -> Instruction:
        return self.all(word)[-1]


def read(dockerfile: Path = DOCKERFILE) -> tuple[list[Instruction], list[Stage]]:
    """(what stands before the first FROM, the stages)."""
    lines = dockerfile.read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    before: list[Instruction] = []
    stages: list[Stage] = []
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base.strip(), name.strip()))
        else:
            into = stages[-1].instructions if stages else before
            into.append(Instruction(word, rest.strip()))
    return before, stages


def in_context(path: str) -> bool:
    """Whether `.dockerignore` lets a path of the repository into the build; the last match wins."""
    allowed = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        if any(fnmatch.fnmatch(part, pattern.removeprefix("**/")) for part in parents):
            allowed = line.startswith("!")
    return allowed


#: Folders that the final stage makes for its user: a volume mounted there belongs to it.
FINAL_USER_PATHS = [word for word in read()[1][-1].last("RUN").text.split() if word.startswith("/")]


@dataclass(frozen=True, slots=True)
class Image:
    """A rehearsed build under `root`, and what the Dockerfile says of running it."""

    root: Path
    environment: dict[str, str]
    entrypoint: list[str]
    command: list[str]

    def here(self, text: str) -> str:
        """`text` with the image's places under `root`."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w./-]){place}(?![\w-])", f"{self.root}{place}", text)
        return text

    @property
    def path(self) -> str:
        """Where programs are looked for."""
        return self.here(self.environment["PATH"].replace("${PATH}", "/usr/bin:/bin"))


def build(root: Path) -> Image:
    """Run the steps of both stages under `root`, but for Debian's packages and owners."""
    _, (first, final) = read()
    environment = {k: v for line in final.all("ENV") for k, v in line.pairs.items()}
    image = Image(
        root, environment, final.last("ENTRYPOINT").exec_form or [],
        final.last("CMD").exec_form or [],
    )  # fmt: skip
    folder = root
    for step in (*first.instructions, *final.instructions):
        if step.word == "WORKDIR":
            folder = Path(image.here(step.text))
            folder.mkdir(parents=True, exist_ok=True)
        elif step.word == "COPY" and not step.text.startswith("--"):
            _copy(step.text.split(), folder, image)
        elif step.word == "RUN" and "apt-get" not in step.text:
            _run(step.text, folder, image)
    return image


def _copy(words: list[str], folder: Path, image: Image) -> None:
    *sources, target = words
    for source in sources:
        listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", source],
                                         cwd=ROOT, text=True).splitlines()  # fmt: skip
        for name in filter(in_context, listed):
            inner = Path(name).name if name == source else name.removeprefix(source + "/")
            into = folder / image.here(target)
            if name != source or target.endswith("/"):
                into = into / inner
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, into)


def _run(text: str, folder: Path, image: Image) -> None:
    # Owners need root, and are looked at by a rule of their own.
    text = re.sub(r" --(owner|group)=\d+", "", image.here(text))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(["sh", "-c", text], cwd=folder, capture_output=True, text=True,
                          timeout=300, env=environment)  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
