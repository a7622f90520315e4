"""Only what pyproject.toml cannot say: the optional compiled primitives of sealing.

Without a C compiler or OpenSSL's headers the installation goes on, and Python does the same work
more slowly (`audit_stream.privacy.primitives.COMPILED` tells).
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "audit_stream.privacy._compiled",
            sources=["audit_stream/privacy/_compiled.c"],
            libraries=["crypto"],
            define_macros=[("Py_LIMITED_API", "0x030b0000")],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
