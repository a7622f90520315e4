"""The compose file: accepted by Compose itself, and held to what a careful operator would ask."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit_stream.kafka.jars import KAFKA_VERSION
from audit_stream.settings import Settings
from audit_stream.stores.open import place_of
from tests.support.compose import COMPOSE, FOLDER, OURS, ROOT, render, seconds
from tests.support.image import FINAL_USER_PATHS

MODEL = render()
SERVICES: dict[str, Any] = MODEL["services"]
WORKERS = [name for name in SERVICES if name.startswith("worker-")]
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.]+)?(@sha256:[0-9a-f]{64})?")
every_service = pytest.mark.parametrize("name", SERVICES)
OPTIONAL = ["deliverer", "mirror"]  # in profiles of their own
FOLLOWERS = [*WORKERS, "notary", "gateway", *OPTIONAL]  # of ours, those that stay
every_follower = pytest.mark.parametrize("name", FOLLOWERS)
ours = pytest.mark.parametrize("name", OURS)


def settings_of(name: str) -> Settings:
    """The service's own settings, as the program reads them."""
    found = {k: v for k, v in SERVICES[name]["environment"].items() if v}
    fields = {k.removeprefix("AUDIT_").lower(): v for k, v in found.items()}
    return Settings.load(None, **fields)


def test_our_services_are_all_there_is_of_our_image() -> None:
    image = SERVICES["cli"]["image"]
    assert {name for name, found in SERVICES.items() if found["image"] == image} == set(OURS)
    others = {"kafka", "azurite", "prometheus", "alertmanager", "grafana"}
    assert set(SERVICES) == {*OURS, *others}


@every_service
def test_every_image_is_pinned_by_a_full_version(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_versions_are_those_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert SERVICES["azurite"]["image"].rpartition(":")[2] in re.findall(r"azurite@([\d.]+)", ci)


@every_service
def test_nothing_listens_beyond_loopback(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)
    assert SERVICES[name].get("network_mode") is None


@every_service
def test_nothing_has_more_rights_than_it_needs(name: str) -> None:
    found = SERVICES[name]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices", "user"} & set(found)
    assert "docker.sock" not in str(found)


@every_service
def test_every_container_writes_to_volumes_only_and_has_its_share(name: str) -> None:
    found = SERVICES[name]
    assert found["read_only"] is True
    # Kafka's image renders its configuration where it reads it.
    more = ["/opt/kafka/config", "/opt/kafka/logs"] if name == "kafka" else []
    assert found["tmpfs"] == ["/tmp", *more]
    assert 0 < int(found["mem_limit"]) <= 1 << 30
    assert 0 < found["pids_limit"] <= 512
    assert 0 < float(found["cpus"]) <= 1  # more than the machine has is refused


@every_service
def test_what_stays_is_probed_inside_its_container(name: str) -> None:
    found = SERVICES[name]
    if found["restart"] != "unless-stopped":
        return  # ends by itself: see below
    kind, program, *arguments = found["healthcheck"]["test"]
    assert kind == "CMD"
    assert program in {"python", "nc", "wget", "/opt/kafka/bin/kafka-broker-api-versions.sh"}
    ports = {str(port["target"]) for port in found["ports"]} | {"9092"}
    if name not in FOLLOWERS:
        assert ports & set(re.findall(r"\d{4,5}", " ".join(arguments)))


@every_service
def test_what_is_mounted_is_in_the_repository_and_read_only(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        if mount["type"] == "bind":
            assert Path(mount["source"]).exists(), mount["source"]
            assert Path(mount["source"]).is_relative_to(ROOT / "deploy")
            assert mount["read_only"] is True
        else:
            assert mount["source"] in MODEL["volumes"]


def test_every_volume_is_used_and_no_worker_shares_its_state() -> None:
    used = [mount["source"] for found in SERVICES.values() for mount in found.get("volumes", [])]
    assert set(MODEL["volumes"]) <= set(used)
    state = [_mount(name, settings_of(name).state_dir)["source"] for name in WORKERS]
    assert len(set(state)) == len(WORKERS) == 2
    assert all(used.count(source) == 1 for source in state)


@ours
def test_volumes_of_ours_lie_where_the_image_made_their_folders(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        if mount["type"] == "volume":  # else Docker makes the folder, for root
            assert mount["target"] in FINAL_USER_PATHS


def test_only_the_keyrings_maker_may_write_keys() -> None:
    mounts = {name: mount for name in OURS for mount in SERVICES[name].get("volumes", [])
              if mount["target"] == "/var/lib/audit-stream/keys"}  # fmt: skip
    assert {name for name, mount in mounts.items() if not mount.get("read_only")} == {
        "init-keyring"
    }
    assert set(FOLLOWERS) < set(mounts)


def test_a_gateway_has_a_view_of_the_keys_and_shares_what_it_writes_with_nobody() -> None:
    keys = _mount("gateway", settings_of("gateway").keyring)
    assert (keys["source"], keys["read_only"]) == ("gateway-keys", True)
    holders = [name for name, found in SERVICES.items()
               if any(m["source"] == "gateway-keys" for m in found.get("volumes", []))]  # fmt: skip
    assert set(holders) == {"init-keyring", "gateway", *OPTIONAL}
    found = settings_of("gateway")
    kept = {_mount("gateway", path)["source"]
            for path in (found.gateway_tokens, found.answer_keys, found.journal_dir)}  # fmt: skip
    assert kept == {"gateway"}
    assert _mount("gateway", found.index_dir)["source"] == "state-gateway"
    used = [mount["source"] for each in SERVICES.values() for mount in each.get("volumes", [])]
    assert used.count("gateway") == used.count("state-gateway") == 1


def _mount(name: str, path: Path) -> dict[str, Any]:
    (found,) = [m for m in SERVICES[name]["volumes"] if path.is_relative_to(m["target"])]
    return found


@ours
def test_settings_are_accepted_and_secrets_are_files(name: str) -> None:
    found = settings_of(name)
    assert found.archive != found.subjects
    secret_files = {str(v) for k, v in found if k.endswith("_file") and v is not None}
    assert secret_files == {f"/run/secrets/{s['source']}" for s in SERVICES[name]["secrets"]}
    spelled = str(SERVICES[name]["environment"])
    assert "AccountKey" not in spelled
    assert not re.search(r"PASSWORD'|AUDIT_AZURE_(SAS|CONNECTION_STRING)'", spelled)


def test_members_of_the_fleet_agree_on_all_but_their_names() -> None:
    own = {"AUDIT_INSTANCE_ID"}
    shared = [
        {k: v for k, v in SERVICES[name]["environment"].items() if k not in own} for name in WORKERS
    ]
    assert shared[0] == shared[1]
    names = [settings_of(name).instance_id for name in WORKERS]
    assert names == WORKERS
    worker = {k: v for k, v in shared[0].items() if k != "AUDIT_WEB_PORT"}
    assert worker.items() <= SERVICES["notary"]["environment"].items()


def test_what_is_optional_starts_in_its_profile_alone_and_holds_no_secret_of_the_keyring() -> None:
    profiles = {name: found["profiles"] for name, found in SERVICES.items() if "profiles" in found}
    assert profiles == {"cli": ["cli"], "deliverer": ["siem"], "mirror": ["second-store"]}
    found = settings_of("deliverer")
    assert found.delivery_fields == ()
    assert found.delivery_public_keys == found.keyring.with_name("public.txt")
    assert _mount("deliverer", Path(found.positions_url.removeprefix("file://")))["source"] == (
        "state-deliverer"
    )
    assert _mount("mirror", settings_of("mirror").keyring)["source"] == "gateway-keys"


def test_a_notary_keeps_nothing() -> None:
    (mount,) = SERVICES["notary"]["volumes"]
    assert mount["source"] == "keys"


@every_follower
def test_what_stays_has_the_time_to_stop(name: str) -> None:
    grace = seconds(SERVICES[name]["stop_grace_period"])
    assert grace > settings_of(name).shutdown_seconds + 5


@every_follower
def test_what_stays_is_waited_for_until_it_is_ready(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][-1] == "/readyz"
    needs = SERVICES[name]["depends_on"]
    assert {k: v["condition"] for k, v in needs.items()} == {
        "init-keyring": "service_completed_successfully",
        "init-containers": "service_completed_successfully",
        "init-topics": "service_completed_successfully",
    }


@pytest.mark.parametrize("name", ["init-keyring", "init-containers", "init-topics", "cli"])
def test_what_ends_is_neither_restarted_nor_probed(name: str) -> None:
    assert SERVICES[name]["restart"] == "no"
    assert SERVICES[name]["healthcheck"] == {"disable": True}


def test_the_containers_made_are_those_the_settings_name() -> None:
    found, second = settings_of("worker-1"), settings_of("mirror").archive_secondary
    wanted = {found.archive_place.container, found.subjects_place.container}  # type: ignore[union-attr]
    wanted.add(place_of(str(second)).container)  # type: ignore[union-attr]
    assert set(SERVICES["init-containers"]["command"]) == wanted


def test_prometheus_looks_for_services_that_there_are() -> None:
    text = (ROOT / "deploy" / "monitoring" / "prometheus.yaml").read_text("utf-8")
    config = yaml.safe_load(text)
    groups = [job.get("static_configs", []) for job in config["scrape_configs"]]
    groups += [manager["static_configs"] for manager in config["alerting"]["alertmanagers"]]
    targets = {target for group in groups for entry in group for target in entry["targets"]}
    always = [name for name in FOLLOWERS if name not in OPTIONAL]
    followers = {f"{name}:{settings_of(name).web_port}" for name in always}
    assert targets == {*followers, "localhost:9090", "alertmanager:9093"}
    assert all(settings_of(name).web_host == "0.0.0.0" for name in FOLLOWERS)
    found = [each for job in config["scrape_configs"] for each in job.get("dns_sd_configs", [])]
    assert [(each["names"], each["port"]) for each in found] == [
        ([name], settings_of(name).web_port) for name in OPTIONAL
    ]
    jobs = {job["job_name"]: str(job.get("static_configs")) for job in config["scrape_configs"]}
    for other in ("notary", "gateway"):  # one that runs is no fleet that does
        assert [name for name, found in jobs.items() if other in found] == [f"audit-stream-{other}"]


def mounted(name: str, path: str) -> Path:
    """The file or folder of the repository that the container sees at `path`."""
    for mount in SERVICES[name]["volumes"]:
        if mount["type"] == "bind" and Path(path).is_relative_to(mount["target"]):
            return Path(mount["source"]) / Path(path).relative_to(mount["target"])
    raise AssertionError(f"{name} sees nothing of ours at {path}")


def test_prometheus_and_alertmanager_find_our_rules_and_routes() -> None:
    monitoring = ROOT / "deploy" / "monitoring"
    config = mounted("prometheus", "/etc/prometheus/prometheus.yml")  # the image's --config.file
    assert config == monitoring / "prometheus.yaml"
    (rules,) = yaml.safe_load(config.read_text("utf-8"))["rule_files"]
    folder = mounted("prometheus", str(Path("/etc/prometheus") / Path(rules).parent))
    assert monitoring / "rules" / "audit_stream.yaml" in folder.glob(Path(rules).name)
    routes = mounted("alertmanager", "/etc/alertmanager/alertmanager.yml")
    assert routes == monitoring / "alertmanager.yaml"


def test_grafana_finds_prometheus_and_opens_on_a_dashboard_that_is_mounted() -> None:
    provisioning = ROOT / "deploy" / "monitoring" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "audit_stream.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    dashboard = mounted("grafana", str(home))
    assert dashboard == provisioning.parent / "dashboards" / "audit_stream.json"
    assert dashboard.is_file()
    assert mounted("grafana", "/etc/grafana/provisioning") == provisioning
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "audit_stream.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == str(home.parent)


def test_the_example_environment_is_the_defaults() -> None:
    example = (FOLDER / ".env.example").read_text("utf-8")
    named = dict(re.findall(r"^(\w+)=(.*)$", example, re.M))
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text("utf-8")))
    assert named == used
    assert render(**named) == MODEL


@pytest.mark.parametrize(
    ("slip", "said"),
    [("services: {kafka: {portz: []}}", "portz false schema"),
     ("services: {kafka: {depends_on: [zookeeper]}}", "undefined service")],
)  # fmt: skip
def test_compose_itself_checks_the_file(slip: str, said: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(slip, encoding="utf-8")
    with pytest.raises(AssertionError, match=said):
        render(COMPOSE, broken)
