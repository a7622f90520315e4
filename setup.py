"""Only what pyproject.toml cannot say: the compiled modules, and `topics/` inside the wheel."""

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py


class BuildWithTopics(build_py):
    """Puts the repository's `topics/` into the package: an installed worker needs it too.

    An editable installation finds it in the checkout (`audit_stream.kafka.topics.topics_dir`).
    """

    def run(self):
        """Build the modules, then add the folder."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "audit_stream" / "topics"
            shutil.rmtree(target, ignore_errors=True)  # an earlier build's
            shutil.copytree("topics", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))


def compiled(name, *sources, **options):
    """A module in C. Without a compiler, or a header it needs, the installation goes on, and Python
    does the same work more slowly (`audit_stream.app.run` logs which)."""
    return Extension(
        name,
        sources=list(sources),
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
        py_limited_api=True,
        optional=True,
        **options,
    )


setup(
    cmdclass={"build_py": BuildWithTopics},
    ext_modules=[
        compiled("audit_stream.flatten._compiled", "audit_stream/flatten/_compiled.c"),
        compiled(
            "audit_stream.privacy._compiled",
            "audit_stream/privacy/_compiled.c",
            "audit_stream/privacy/_derivation.c",
            "audit_stream/privacy/_sealing.c",
            depends=["audit_stream/privacy/_libcrypto.h", "audit_stream/privacy/_writing.h"],
            libraries=["crypto"],
        ),
        compiled(
            "audit_stream.evidence._compiled",
            "audit_stream/evidence/_compiled.c",
            libraries=["crypto"],
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
