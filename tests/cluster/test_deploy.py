"""What is shipped to start clusters with: well-formed, of the versions that are tested, with a token and no secrets.

No cloud, Kubernetes or container is started here; docs/cluster.md says what was tried by hand and what was not.
"""

from __future__ import annotations

import copy
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import partial
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cluster.ray_session import KEEPALIVE
from tests.cluster.kuberay_schema import SCHEMAS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "cluster" / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
LAUNCHERS = sorted((DEPLOY / "launcher").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())


def manifests() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def ray_clusters() -> list[dict[str, Any]]:
    specs = [manifest["spec"] for manifest in manifests() if manifest["kind"].startswith("Ray")]
    return [spec.get("rayClusterSpec", spec) for spec in specs]


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_there_is_something_for_every_place() -> None:
    assert [path.stem for path in LAUNCHERS] == ["aws", "gcp", "on-premises"]
    assert [manifest["kind"] for manifest in manifests()] == ["RayCluster", "NetworkPolicy", "RayJob"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_holds_a_secret_or_turns_the_token_off(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"[0-9a-f]{24,}|[A-Za-z0-9+/]{40,}={0,2}|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*KEY", text)
    assert not re.search(r"AUTH_MODE[=:]\s*disabled|mode:\s*disabled", text)
    assert re.search(r"RAY_AUTH_MODE[=:] ?token|authOptions: \{mode: token\}", text)


# Launcher. ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_a_launcher_file_is_what_ray_expects(path: Path) -> None:
    """By Ray's own schema and checks."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(config)
    for when in ("head", "worker"):
        commands = "\n".join(config[f"{when}_start_ray_commands"])
        for name, value in KEEPALIVE.items():
            assert f"{name}={value}" in commands
        assert "RAY_AUTH_TOKEN_PATH=~/.mmm-token" in commands
    assert "--dashboard-host=127.0.0.1" in "\n".join(config["head_start_ray_commands"])
    assert "--num-cpus=0" in "\n".join(config["head_start_ray_commands"])
    assert "chmod 600 ~/.mmm-token" in config["setup_commands"]


def test_an_autoscaler_starts_hosts_for_our_tasks() -> None:
    """By Ray's own packing. Of the clouds, Ray knows by itself only what machines of AWS have."""
    from ray.autoscaler._private.resource_demand_scheduler import (
        NodeAvailabilitySummary,
        _default_utilization_scorer,
        get_nodes_for,
    )

    from cluster import ClusterConfig

    task = {"CPU": 1, "memory": ClusterConfig(address="auto").memory_request}
    scorer = partial(_default_utilization_scorer, node_availability_summary=NodeAvailabilitySummary({}))
    types = {
        path.stem: yaml.safe_load(path.read_text()).get("available_node_types", {}) for path in LAUNCHERS
    }
    assert types["aws"]["spot"]["resources"] == {}
    nodes, unfulfilled = get_nodes_for(types["gcp"], {}, "head", 20, [task] * 24, scorer)
    assert (nodes, unfulfilled) == ({"spot": 3}, [])
    for pods in (group for cluster in ray_clusters() for group in cluster["workerGroupSpecs"]):
        requests = pods["template"]["spec"]["containers"][0]["resources"]["requests"]
        assert (
            int(requests["cpu"]) * task["memory"] < 0.7 * int(requests["memory"].removesuffix("Gi")) * 2**30
        )


def start_commands() -> list[str]:
    """Every ``ray start`` in what is shipped, and how KubeRay would write those of the manifests."""
    found = []
    for path in LAUNCHERS:
        config = yaml.safe_load(path.read_text())
        for when in ("head", "worker"):
            found += re.findall(r"ray start .*", config[f"{when}_start_ray_commands"][-1].replace("\n", " "))
    found += [COMPOSE["services"][name]["command"].replace("\n", " ") for name in ("head", "worker")]
    for cluster in ray_clusters():
        for group in groups(cluster):
            words = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
            found.append(" ".join(["ray start --block", *words]))
    return found


@pytest.mark.parametrize("command", start_commands())
def test_ray_understands_how_it_is_started(command: str) -> None:
    from ray.scripts import scripts

    words = shlex.split(command)
    assert words[:2] == ["ray", "start"]
    parsed = scripts.cli.commands["start"].make_context("start", words[2:]).params
    assert parsed["num_cpus"] == 0 or not parsed["head"]


# Kubernetes. --------------------------------------------------------------------------------------------------------

# The Kubernetes whose schemas the manifests must fit; older and newer ones are tried as well.
KUBERNETES = ("1.29", "1.34")
KUBERAY = [manifest for manifest in manifests() if manifest["kind"] in SCHEMAS]
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?-?")


@pytest.mark.parametrize("manifest", KUBERAY, ids=lambda manifest: manifest["kind"])
def test_a_manifest_fits_the_schema_of_its_kind(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])


@pytest.mark.parametrize("manifest", KUBERAY, ids=lambda manifest: manifest["kind"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "rayVersoin"), "2.60.0"),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "authOptions", "mode"), "tokens"),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "20"),
        (("apiVersion",), "ray.io/v1beta1"),
    ],
    ids=lambda value: str(value) if not isinstance(value, tuple) else value[-1],
)
def test_the_schema_refuses_what_kuberay_would_refuse(
    manifest: dict[str, Any], place: tuple[Any, ...], value: Any
) -> None:
    broken = copy.deepcopy(manifest)
    inner = "rayClusterSpec" in broken["spec"] and place[0] == "spec"
    node: Any = broken
    for key in (*(("spec", "rayClusterSpec") if inner else ()), *place[inner:-1]):
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMAS[manifest["kind"]])


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_pods_and_policies_fit_the_schemas_of_kubernetes(kubernetes: str) -> None:
    whole = [manifest for manifest in manifests() if manifest["kind"] not in SCHEMAS]
    pods = [pod_template(group) for cluster in ray_clusters() for group in groups(cluster)]
    assert (len(whole), len(pods)) == (1, 4)
    for manifest in [*whole, *pods]:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)
    pods[0]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pods[0], kubernetes, strict=True)


def pod_template(group: dict[str, Any]) -> dict[str, Any]:
    """A group's pods, as the kind that Kubernetes has a schema for."""
    template = copy.deepcopy(group["template"])
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}


@pytest.mark.parametrize("cluster", ray_clusters())
def test_a_ray_cluster_is_of_our_version_and_asks_for_a_token(cluster: dict[str, Any]) -> None:
    assert cluster["rayVersion"] == version("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    for worker in cluster["workerGroupSpecs"]:
        assert NAME.fullmatch(worker["groupName"])
        assert 0 <= worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("cluster", ray_clusters())
def test_pods_have_no_more_rights_than_they_need(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["image"].endswith(f"mmm-runner:{PROJECT['version']}")
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_manifests_belong_together() -> None:
    by_kind = {manifest["kind"]: manifest for manifest in manifests()}
    job = by_kind["RayJob"]["spec"]
    assert yaml.safe_load(job["runtimeEnvYAML"]).keys() <= {"env_vars", "working_dir"}
    name = by_kind["RayCluster"]["metadata"]["name"]
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"] == {"matchLabels": {"ray.io/cluster": name}}
    assert by_kind["RayCluster"]["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"


def test_the_job_of_the_manifest_is_a_command_of_ours() -> None:
    """Its words, as ``cluster.jobs`` and ``mmm run`` read them."""
    from typer.main import get_command

    from cluster.jobs import OUTPUT, PYTHON
    from runner.cli import app

    (job,) = (manifest["spec"] for manifest in manifests() if manifest["kind"] == "RayJob")
    words = job["entrypoint"].split()
    assert words[:3] == ["python", "-m", "cluster.jobs"]
    command = words[words.index("--") + 1 :]
    assert command[:4] == [PYTHON, "-m", "runner.cli", "run"]
    run = get_command(app).get_command(None, "run")
    parsed = run.make_context("run", command[4:], resilient_parsing=False).params
    assert str(parsed["runs"]) == OUTPUT
    assert (parsed["backend"], parsed["address"]) == ("ray", "auto")


# Containers. --------------------------------------------------------------------------------------------------------


def test_the_compose_file_fits_the_compose_specification() -> None:
    schemas = resources.files("check_jsonschema").joinpath("builtin_schemas", "vendor")
    schema = json.loads(schemas.joinpath("compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validate(COMPOSE, schema)
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["head"]["prots"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:5000:5000", "127.0.0.1:8265:8265"]


def test_services_name_what_is_there() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
        assert set(service.get("depends_on", [])) <= COMPOSE["services"].keys()
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for config in service.get("configs", []):
            assert config["source"] in COMPOSE["configs"]
    assert set(COMPOSE["services"]) == {"head", "worker", "postgres", "tracking", "login"}
    assert all(secret["file"].startswith("secrets/") for secret in COMPOSE["secrets"].values())


def test_the_tracking_server_is_behind_a_login_and_knows_its_hosts() -> None:
    tracking = COMPOSE["services"]["tracking"]
    assert "ports" not in tracking
    assert "--allowed-hosts tracking:5000,localhost:5000,127.0.0.1:5000" in tracking["command"][2]
    login = COMPOSE["configs"]["login"]["content"]
    assert "auth_basic_user_file /run/secrets/htpasswd;" in login
    assert COMPOSE["networks"]["tracking"] == {"internal": True}
    assert COMPOSE["services"]["postgres"]["networks"] == ["tracking"]


def test_the_image_holds_the_packages_and_the_settings() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    for name, value in KEEPALIVE.items():
        assert f"{name}={value}" in text
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert all(re.findall(r"^USER (\w+)$", stage, re.MULTILINE)[-1] == "mmm" for stage in stages)
    python = re.search(r"^ARG PYTHON=(.+)$", text, re.MULTILINE)
    assert python is not None
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["classifiers"]
    for service in ("head", "worker", "tracking"):
        assert COMPOSE["services"][service]["image"].endswith(f":{PROJECT['version']}")
