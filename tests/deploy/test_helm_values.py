"""The chart's values: strict, explained, and held to the program's own settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from audit_stream.settings import Settings
from tests.support.helm import (
    CASES,
    CHART,
    changed,
    environment,
    plan,
    pod,
    refusal,
    rendered,
    settings_of,
    values_of,
)

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text("utf-8"))
VALUES = (CHART / "values.yaml").read_text("utf-8")
DEFAULTS: dict[str, Any] = yaml.safe_load(VALUES)
PAGE = (CHART.parents[2] / "docs" / "how-to" / "kubernetes.md").read_text("utf-8")
SECRET_NAMES = [
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in {field.annotation, *getattr(field.annotation, "__args__", ())}
]
#: What must not be taken: where, what, and a word of the refusal.
BAD = {
    "a setting there is not": ("settings.partition", 8, "partition"),
    "a setting in capitals": ("settings.AUDIT_PARTITIONS", 8, "AUDIT_PARTITIONS"),
    "no partitions": ("settings.partitions", 0, "minimum"),
    "partitions as text": ("settings.partitions", "8", "got string"),
    "no broker": ("settings.broker", "", "minLength"),
    "a level there is not": ("settings.allow_assurance", "locked", "worm_locked"),
    "a pod's own folder": ("settings.state_dir", "/tmp", "state_dir"),
    "a pod's own name": ("worker.settings.instance_id", "one", "instance_id"),
    "a person's login": ("settings.azure_cli_login", True, "azure_cli_login"),
    "a file as a path": ("settings.kafka_tls_ca", "/etc/ca.crt", "kafka_tls_ca"),
    "a file without a key": ("files.kafka_tls_ca", {"secret": "a"}, "kafka_tls_ca"),
    "a file of two places": (
        "files.kafka_tls_ca", {"secret": "a", "configMap": "b", "key": "c"}, "kafka_tls_ca",
    ),
    "a file of no setting": ("files.kafka_ca", {"secret": "a", "key": "b"}, "kafka_ca"),
    "a key with a slash": ("files.kafka_tls_ca", {"secret": "a", "key": "../b"}, "pattern"),
    "a receiver's token for everybody": (
        "files.delivery_token_file", {"secret": "a", "key": "b"}, "delivery_token_file",
    ),
    "a gateway's key for a worker": (
        "worker.files.gateway_tls_key", {"secret": "a", "key": "b"}, "gateway_tls_key",
    ),
    "no workers": ("worker.replicas", 0, "minimum"),
    "more workers than partitions": ("worker.replicas", 9, "9 workers for 8 partitions"),
    "a setting as a variable": ("worker.extraEnv", [{"name": "AUDIT_X", "value": "1"}], "not"),
    "a mode of pulling": ("image.pullPolicy", "Sometimes", "pullPolicy"),
    "half a digest": ("image.digest", "sha256:12", "pattern"),
    "a size without a unit": ("worker.state.size", "20", "pattern"),
    "a value there is not": ("workers.replicas", 3, "workers"),
    "a value below one": ("gateway.service.nodePort", 3, "nodePort"),
    "rights": ("worker.securityContext", {"runAsUser": 0}, "securityContext"),
    "an ingress without TLS": ("gateway.ingress", {"enabled": True, "host": "a.example"}, "tls"),
    "a receiver without a URL": ("deliverers", [{"name": "siem"}], "url"),
    "a receiver's login in its URL": (
        "deliverers", [{"name": "siem", "url": "https://me:pw@siem.example"}], "pattern",
    ),
    "a receiver's long name": (
        "deliverers", [{"name": "a" * 30, "url": "https://siem.example"}], "pattern",
    ),
    "a receiver without a token": (
        "deliverers", [{"name": "siem", "url": "https://siem.example", "files": {}}],
        "delivery_token_file",
    ),
    "a deliverer that trusts nobody": (
        "deliverers",
        [{"name": "siem", "url": "https://siem.example",
          "files": {"delivery_token_file": {"secret": "a", "key": "b"}}}],
        "delivery_public_keys",
    ),
    "a keeper's unknown receiver": ("keeper", {"enabled": True, "receiver": "x"}, "none of"),
    "a keeper without a claim": ("keeper.enabled", True, "existingClaim"),
    "a worker without a keyring": ("keyring.worker.existingSecret", "", "keyring.worker"),
    "a view there is not": ("keyring.views", ["whole"], "views"),
    "scaling to none": ("autoscaling.minReplicas", 0, "minimum"),
    "scaling beyond partitions": (
        "autoscaling", {"enabled": True, "maxReplicas": 9}, "9 workers for 8 partitions",
    ),
    "a minimum above the maximum": (
        "autoscaling", {"enabled": True, "minReplicas": 4, "maxReplicas": 3}, "more than",
    ),
    "a window that Kubernetes refuses": ("autoscaling.scaleDownSeconds", 3601, "maximum"),
    "a schedule of four": ("disposal.schedule", "17 3 * *", "pattern"),
    "runbooks nowhere": ("monitoring.runbooks", "docs/runbooks", "pattern"),
    "a port too high": ("networkPolicy.https.ports", [70000], "maximum"),
    "no port": ("networkPolicy.https.ports", [], "minItems"),
    "metrics for nobody": ("networkPolicy.scraping.from", [], "minItems"),
    "a peer there is not": ("networkPolicy.kafka.to", [{"cidr": "10.0.0.0/8"}], "cidr"),
}  # fmt: skip


def test_bad_values_are_refused_and_the_refusal_says_why() -> None:
    asked = [{"values": changed("minimal", path, value)} for path, value, _ in BAD.values()]
    for what, (_, _, word), answer in zip(BAD, BAD.values(), plan(*asked), strict=True):
        assert answer["error"], f"{what} is taken"
        assert word in answer["error"], f"{what}: {answer['error']}"


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_no_secret_can_be_given_as_a_value(name: str) -> None:
    assert name not in SCHEMA["$defs"]["settings"]["properties"]


def test_secrets_are_refused_by_helm_too() -> None:
    asked = [{"values": changed("minimal", f"settings.{name}", "x")} for name in SECRET_NAMES]
    for name, answer in zip(SECRET_NAMES, plan(*asked), strict=True):
        assert name in answer["error"]


def test_an_installation_without_a_broker_or_a_store_is_refused() -> None:
    for name in ("broker", "archive"):
        values = values_of("minimal")
        del values["settings"][name]
        assert f"missing property '{name}'" in refusal(values)


def test_what_is_generated_is_of_todays_settings() -> None:
    command = [sys.executable, str(CHART.parent / "generate.py"), "--check"]
    assert subprocess.run(command).returncode == 0, "run: make docs"


def test_every_setting_is_a_value_a_file_the_charts_own_or_a_secret() -> None:
    given = set(SCHEMA["$defs"]["settings"]["properties"])
    for name in ("commonFiles", "notaryFiles", "gatewayFiles", "deliveryFiles"):
        given |= set(SCHEMA["$defs"][name]["properties"])
    assert set(Settings.model_fields) - given - set(SECRET_NAMES) == {
        "answer_keys", "azure_cli_login", "delivery_name", "delivery_url", "gateway_host",
        "gateway_port", "index_dir", "instance_id", "journal_dir", "keyring", "keyring_views",
        "s3_profile", "s3_secondary_profile", "s3_subjects_profile", "state_dir", "web_host",
        "web_port",
    }  # fmt: skip


def objects(node: Any, path: str = "#") -> list[tuple[str, dict[str, Any]]]:
    """Every schema of an object with properties, and where it stands."""
    if isinstance(node, list):
        return [each for i, item in enumerate(node) for each in objects(item, f"{path}/{i}")]
    if not isinstance(node, dict):
        return []
    here = [(path, node)] if "properties" in node and node.get("type") == "object" else []
    return here + [each for key, item in node.items() for each in objects(item, f"{path}/{key}")]


def test_no_object_of_the_schema_is_open() -> None:
    found = objects(SCHEMA)
    assert len(found) >= 40
    for path, node in found:
        # An entry of a container's environment is Kubernetes' to judge.
        assert node.get("additionalProperties") is False or "environment" in path, path


def test_every_value_has_a_schema_and_a_default() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        known = schema.get("properties", {})
        for name, value in values.items():
            assert name in known, f"{path}{name}"
            if isinstance(value, dict) and "properties" in known[name]:
                compare(value, known[name], f"{path}{name}.")

    compare(DEFAULTS, SCHEMA, "")
    assert set(SCHEMA["properties"]) - set(DEFAULTS) == {"global"}


def test_every_value_is_explained() -> None:
    paragraphs = [part for part in VALUES.split("\n\n") if re.search(r"^\w+:", part, re.M)]
    assert len(paragraphs) > 15
    for part in paragraphs:
        assert "#" in part, part


def test_the_defaults_fit_their_own_schema() -> None:
    """Whatever a ci file leaves out is the default: none of them may be refused."""
    for answer in plan(*({"values": values_of(each)} for each in CASES)):
        assert answer["error"] == ""


def test_numbers_reach_python_as_numbers() -> None:
    for name, value, text in [
        ("memory_budget_bytes", 134217728, "134217728"), ("segment_max_seconds", 0.5, "0.5"),
        ("segment_max_bytes", 1073741824, "1073741824"), ("azure_tls13", False, "false"),
    ]:  # fmt: skip
        found = rendered(changed("minimal", f"settings.{name}", value))
        (container,) = pod(found, "worker").containers
        assert environment(container)[f"AUDIT_{name.upper()}"] == text


def test_a_component_goes_before_everybody() -> None:
    found = rendered(changed("minimal", "worker.settings.log_level", "DEBUG"))
    assert settings_of(pod(found, "worker").containers[0]).log_level == "DEBUG"
    assert settings_of(pod(found, "notary").containers[0]).log_level == "INFO"


NAMED = [
    name
    for name in sorted(set(re.findall(r"`([a-zA-Z]+(?:\.\w+)+)`", PAGE)))
    if name.partition(".")[0] in DEFAULTS
]


@pytest.mark.parametrize("name", NAMED)
def test_a_value_that_the_page_names_is_one(name: str) -> None:
    *way, last = name.split(".")
    place = DEFAULTS
    for step in way:
        place = place[step]
    assert last in (Settings.model_fields if way[-1] in ("settings", "files") else place)


def test_the_page_names_values() -> None:
    assert {"keyring.existingClaim", "settings.topics", "worker.replicas"} <= set(NAMED)
