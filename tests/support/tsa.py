"""A timestamp authority: `openssl ts -reply` with a throw-away certificate authority, over HTTP."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from asn1crypto import parser
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.certificates import HOST

POLICY = "1.2.3.4.1"
_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/{signer}.pem
certs = {folder}/{chain}.pem
signer_key = {folder}/{signer}.key
signer_digest = sha256
default_policy = {policy}
digests = {digests}
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, written to the authority's folder."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class LocalAuthority:
    """Root, intermediate and signers under one folder; replies come from `openssl ts`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.now = datetime.now(UTC)
        self._serials = count(1 << 100)  # all of one length
        self._lock = Lock()  # openssl works on files of one name
        self.root = self._issue("root", None, ca=True)
        self.between = self._issue("between", self.root, ca=True)
        self.issue("tsa")
        self._write_chain("chain", self.between, self.root)
        (folder / "serial").write_text("01\n")

    @property
    def roots(self) -> Path:
        """The PEM file that a verifier trusts."""
        return self.folder / "root.pem"

    def issue(
        self, name: str, usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.TIME_STAMPING,
        begin: timedelta = timedelta(days=-1), end: timedelta = timedelta(days=365),
        critical: bool = True, twin: Issued | None = None,
    ) -> Issued:  # fmt: skip
        """A signer's certificate and key, or another certificate of the same key."""
        return self._issue(
            name, self.between, usage=usage, begin=begin, end=end, critical=critical, twin=twin
        )

    def reply(
        self, query: bytes, signer: str = "tsa", chain: str = "chain", digests: str = "sha256",
        ess: str = "sha256",
    ) -> bytes:  # fmt: skip
        """What openssl answers, refusals included."""
        config = _CONFIG.format(
            folder=self.folder, signer=signer, chain=chain, policy=POLICY, digests=digests, ess=ess
        )
        with self._lock:
            (self.folder / "tsa.cnf").write_text(config)
            (self.folder / "query").write_bytes(query)
            how = ("-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
            self._openssl("ts", "-reply", *how)
            return (self.folder / "reply").read_bytes()

    def query(self, data: bytes, *options: str) -> bytes:
        """A request as openssl makes it."""
        (self.folder / "data").write_bytes(data)
        self._openssl("ts", "-query", "-data", "data", "-cert", *options, "-out", "asked")
        return (self.folder / "asked").read_bytes()

    def token(self, content: bytes, signer: str, *options: str) -> bytes:
        """A reply whose token is signed by any certificate; `-cades` has it named."""
        (self.folder / "content").write_bytes(content)
        self._openssl(
            "cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-outform", "DER",
            "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-md", "sha256",
            "-in", "content", "-signer", f"{signer}.pem", "-inkey", f"{signer}.key",
            *options, "-certfile", "chain.pem", "-out", "signed",
        )  # fmt: skip
        signed = (self.folder / "signed").read_bytes()
        return parser.emit(0, 1, 16, bytes.fromhex("3003020100") + signed)

    def openssl_verifies(self, reply: bytes, data: bytes, at: datetime) -> bool:
        """What `openssl ts -verify` says, with the certificates judged at a time."""
        return self.openssl_says(reply, data, at).returncode == 0

    def openssl_says(
        self, reply: bytes, data: bytes, at: datetime
    ) -> subprocess.CompletedProcess[bytes]:
        """All that it says."""
        (self.folder / "judged").write_bytes(reply)
        (self.folder / "data").write_bytes(data)
        seconds = str(int(at.timestamp()))
        return self._run(
            "ts",
            "-verify",
            "-in",
            "judged",
            "-data",
            "data",
            "-CAfile",
            "root.pem",
            "-attime",
            seconds,
        )

    def _openssl(self, *arguments: str) -> None:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, timeout=60
        )

    def _issue(
        self, name: str, issuer: Issued | None, *, ca: bool = False,
        usage: x509.ObjectIdentifier | None = None, begin: timedelta = timedelta(days=-10),
        end: timedelta = timedelta(days=3650), critical: bool = True, twin: Issued | None = None,
    ) -> Issued:  # fmt: skip
        key = twin.key if twin else ec.generate_private_key(ec.SECP256R1())
        by = issuer.certificate.subject if issuer else _name(name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(by)
            .public_key(key.public_key())
            .serial_number(next(self._serials))
            .not_valid_before(self.now + begin)
            .not_valid_after(self.now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical)
        made = Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
        self._write_chain(name, made)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        (self.folder / f"{name}.key").write_bytes(private)
        return made

    def _write_chain(self, name: str, *issued: Issued) -> None:
        pem = b"".join(e.certificate.public_bytes(serialization.Encoding.PEM) for e in issued)
        (self.folder / f"{name}.pem").write_bytes(pem)


@dataclass(frozen=True)
class Said:
    """An HTTP answer."""

    status: int
    kind: str
    body: bytes


Respond = Callable[[bytes], Said]


@contextmanager
def serving(
    respond: Respond, path: str = "/tsr", logins: list[str | None] | None = None
) -> Iterator[str]:
    """A server on the loopback address that answers POSTs to the path; its URL, without it.

    The Authorization header of each goes to `logins`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if logins is not None:
                logins.append(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = respond(body) if self.path == path else Said(404, "text/plain", b"")
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def timestamps(authority: LocalAuthority, **how: str) -> Respond:
    """Answers as RFC 3161 section 3.4 has them."""
    return lambda query: Said(200, "application/timestamp-reply", authority.reply(query, **how))
