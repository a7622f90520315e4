"""How a connection is read, what it gives the client, and what it never shows."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit_stream.errors import ConfigError
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.settings import Settings

SASL: dict[str, Any] = {
    "security": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "worker",
    "sasl_password": "hunter2-secret",
}


def pem_files(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "worker")])
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        locked = serialization.BestAvailableEncryption(password)
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    return cert_path, key_path


@pytest.mark.parametrize(
    ("broker", "servers"),
    [
        ("kafka://a:9092", ("a:9092",)),
        ("kafka://a:9092,b:9093", ("a:9092", "b:9093")),
        ("kafka://a:9092; b:9093", ("a:9092", "b:9093")),
        ("kafka://[::1]:9092", ("[::1]:9092",)),
    ],
)
def test_servers_are_read_from_the_url(broker: str, servers: tuple[str, ...]) -> None:
    assert KafkaConnection.parse(broker).bootstrap == servers


@pytest.mark.parametrize(
    "broker", ["", "a:9092", "http://a:9092", "kafka://", "kafka://a", "kafka://a:9092,,b:1"]
)
def test_what_is_no_broker_is_refused(broker: str) -> None:
    with pytest.raises(ConfigError, match="kafka://host:port"):
        KafkaConnection.parse(broker)


@pytest.mark.parametrize("missing", ["sasl_mechanism", "sasl_username", "sasl_password"])
def test_sasl_needs_all_its_parts(missing: str) -> None:
    with pytest.raises(ConfigError, match="SASL_SSL needs a SASL"):
        KafkaConnection.parse("kafka://a:1", **{**SASL, missing: None})


def test_the_password_is_given_to_the_client_and_shown_nowhere_else() -> None:
    connection = KafkaConnection.parse("kafka://a:1", **SASL)
    assert connection.client_options()["sasl_plain_password"] == "hunter2-secret"
    assert "hunter2" not in repr(connection)
    assert "hunter2" not in str(connection)


def test_tls_is_at_least_1_2_and_checks_the_servers_name() -> None:
    context = KafkaConnection.parse("kafka://a:1", security="SSL").client_options()["ssl_context"]
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_plaintext_gives_no_tls_and_no_user() -> None:
    options = KafkaConnection.parse("kafka://a:1").client_options()
    assert set(options) == {"bootstrap_servers", "client_id", "security_protocol"}


def test_our_own_certificate_is_loaded(tmp_path: Path) -> None:
    certificate, key = pem_files(tmp_path)
    connection = KafkaConnection.parse(
        "kafka://a:1", security="SSL", tls_ca=certificate, tls_cert=certificate, tls_key=key
    )
    assert connection.tls_context().cert_store_stats()["x509"] == 1


def test_a_key_with_a_password_is_refused_without_asking(tmp_path: Path) -> None:
    certificate, key = pem_files(tmp_path, password=b"locked")
    connection = KafkaConnection.parse(
        "kafka://a:1", security="SSL", tls_cert=certificate, tls_key=key
    )
    with pytest.raises(ConfigError, match="TLS files"):
        connection.client_options()


def test_a_missing_authority_file_is_told(tmp_path: Path) -> None:
    connection = KafkaConnection.parse("kafka://a:1", security="SSL", tls_ca=tmp_path / "no.pem")
    with pytest.raises(ConfigError, match="TLS files"):
        connection.client_options()


def test_a_connection_is_made_from_the_settings() -> None:
    settings = Settings.load(
        broker="kafka://a:1,b:2",
        kafka_security="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="worker",
        kafka_sasl_password="hunter2-secret",
    )
    connection = KafkaConnection.from_settings(settings)
    assert connection.bootstrap == ("a:1", "b:2")
    assert connection.client_options()["sasl_plain_username"] == "worker"
    assert connection.client_options()["sasl_plain_password"] == "hunter2-secret"
