"""A timestamp authority of our own: `openssl ts` with throw-away keys is a full RFC 3161 one."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = it
[it]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[stamping]
extendedKeyUsage = critical,timeStamping
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """`ca` is the certificate to trust, in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self.ca = self._folder / "ca.pem"
        (self._folder / "tsa.cnf").write_text(_CONFIG)
        (self._folder / "serial").write_text("01\n")
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem",
                      "-subj", f"/CN={name}", "-days", "3650")  # fmt: skip
        self._openssl("req", *_NEW_KEY, "-keyout", "tsa.key", "-out", "tsa.csr",
                      "-subj", f"/CN={name} stamps")  # fmt: skip
        self._openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                      "-CAcreateserial", "-out", "tsa.pem", "-days", "3650",
                      "-extfile", "tsa.cnf", "-extensions", "stamping")  # fmt: skip

    def stamp(self, data: bytes) -> bytes:
        """The reply for `data`, as it is stored."""
        (self._folder / "data").write_bytes(data)
        self._openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query")
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "it",
                      "-queryfile", "query", "-out", "reply")  # fmt: skip
        return (self._folder / "reply").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
