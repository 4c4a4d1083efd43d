"""Compose file and manifests: no container engine is here, so what can be known is held.

They are valid YAML, name exactly the six services, and set only variables a service reads.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentflow.cli.embedded.services import SERVICES
from agentflow.cli.reference.settings_page import variables

ROOT = Path(__file__).parent.parent
BASE = ROOT / "deploy" / "k8s" / "base"
FOREIGN = {"OPENAI_API_KEY"}
"""Keys of providers: read by nodes, by the name a source gives."""


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def manifests() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted(BASE.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def test_compose_runs_exactly_our_services_and_their_servers() -> None:
    servers = {"nats", "postgres", "valkey", "jaeger", "setup"}
    assert set(compose()["services"]) == {*SERVICES, *servers}


@pytest.mark.parametrize("service", SERVICES)
def test_compose_builds_each_service_from_the_one_dockerfile(service: str) -> None:
    definition = compose()["services"][service]
    assert definition["build"] == {"context": ".", "args": {"SERVICE": service}}
    assert definition["depends_on"]["setup"]["condition"] == "service_completed_successfully"


def test_compose_sets_only_variables_a_service_reads() -> None:
    services = compose()["services"]
    names = {n for name in (*SERVICES, "setup") for n in services[name]["environment"]}
    assert names - FOREIGN <= variables()
    assert {"AGENTFLOW_NATS_URL", "AGENTFLOW_DATABASE_URL"} <= names


def test_compose_binds_nothing_beyond_loopback() -> None:
    ports = [p for s in compose()["services"].values() for p in s.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_variable_compose_wants_stands_in_the_example_file() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = (ROOT / ".env.example").read_text()
    assert wanted == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_the_dockerfile_sets_only_variables_a_service_reads() -> None:
    names = set(re.findall(r"(AGENTFLOW_\w+)=", (ROOT / "Dockerfile").read_text()))
    assert names
    assert names <= variables()


def test_kubernetes_has_one_deployment_per_service_with_probes_and_no_root() -> None:
    deployments = {m["metadata"]["name"]: m for m in manifests() if m["kind"] == "Deployment"}
    assert set(deployments) == set(SERVICES)
    for name, deployment in deployments.items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        container = pod["containers"][0]
        assert container["image"] == f"agentflow/{name}"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_kubernetes_sets_only_variables_a_service_reads() -> None:
    config = next(m for m in manifests() if m["kind"] == "ConfigMap")
    assert set(config["data"]) <= variables()


def test_every_manifest_is_reached_from_the_base() -> None:
    for path in BASE.rglob("*.yaml"):
        if path.name == "kustomization.yaml":
            listed = yaml.safe_load(path.read_text())["resources"]
            assert all((path.parent / entry).exists() for entry in listed)
        else:
            owner = yaml.safe_load((path.parent / "kustomization.yaml").read_text())
            assert path.name in owner["resources"]


def test_a_variable_nobody_reads_would_be_noticed() -> None:
    assert "AGENTFLOW_NATS_URL" in variables()
    assert "AGENTFLOW_NATS_ADDRESS" not in variables()
