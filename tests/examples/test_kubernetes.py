"""The manifests of the examples, against the schemas of Kubernetes and of the Prometheus operator."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import needs
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "kubernetes"
FILES = ("pushgateway.yml", "train.yml", "serve.yml", "monitors.yml", "rules.yml")


def manifests() -> list[dict[str, Any]]:
    """Return all of them."""
    return [one for name in FILES for one in yaml.safe_load_all((FOLDER / name).read_text())]


def manifest(kind: str, name: str) -> dict[str, Any]:
    """Return one."""
    (found,) = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> dict[str, dict[str, Any]]:
    """Return the pod templates, by what they are of."""
    return {one["metadata"]["name"]: one["spec"]["template"] for one in manifests() if "template" in one["spec"]}


def operators(one: dict[str, Any]) -> bool:
    """Whether it is of a kind that the operator defines."""
    return bool(one["apiVersion"] == "monitoring.coreos.com/v1")


def test_every_file_is_looked_at() -> None:
    """A new one has to be named here."""
    assert {path.name for path in FOLDER.glob("*.yml")} == set(FILES)


def test_kinds_of_kubernetes() -> None:
    """As its newest version that is at hand has them, and with nothing that it does not know."""
    needs.module("kubernetes_validate")
    kubernetes_validate = importlib.import_module("kubernetes_validate")
    for one in manifests():
        if not operators(one):
            kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def test_kinds_of_the_operator() -> None:
    """As its definitions have them: what these do not know would be missing from what is read."""
    needs.module("cloudcoil")
    models = importlib.import_module("cloudcoil.models.prometheus_operator.v1")
    for one in manifests():
        if operators(one):
            read = getattr(models, one["kind"]).model_validate(one)
            assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == one


def test_rules_are_those_of_the_package(tmp_path: Path) -> None:
    """``python kubernetes/make_rules.py`` writes them anew, and Prometheus can read them."""
    made = runpy.run_path(str(FOLDER / "make_rules.py"))
    assert (FOLDER / "rules.yml").read_text() == made["manifest"](made["RULES"].read_text())
    promtool = needs.program("promtool", "prometheus")
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(manifest("PrometheusRule", "gangplank")["spec"]))
    subprocess.run([promtool, "check", "rules", str(rules)], check=True, capture_output=True)


def test_pods_may_do_nothing_that_they_need_not() -> None:
    """Nobody is root, writes to the image, or has an account in the cluster."""
    assert set(pods()) == {"pushgateway", "mnist-train", "mnist-serve"}
    for template in pods().values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["automountServiceAccountToken"] is False
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_they_find_each_other() -> None:
    """Services, monitors and volumes are of what is there; ports have the names by which they are asked for."""
    for kind in ("Service", "PodMonitor", "ServiceMonitor"):
        for one in manifests():
            if one["kind"] == kind:
                check_selection(one)
    claimed = {
        volume["persistentVolumeClaim"]["claimName"]
        for template in pods().values()
        for volume in template["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert claimed == {manifest("PersistentVolumeClaim", "mnist-models")["metadata"]["name"]}
    push = variables("mnist-train")["PUSHGATEWAY"]
    (port,) = manifest("Service", "pushgateway")["spec"]["ports"]
    assert push == f"http://pushgateway:{port['port']}"


def check_selection(one: dict[str, Any]) -> None:
    """See that a selector selects something, which has the port."""
    spec = one["spec"]
    labels = spec["selector"].get("matchLabels", spec["selector"])
    if one["kind"] == "ServiceMonitor":
        services = [other for other in manifests() if other["kind"] == "Service"]
        (service,) = [other for other in services if labels.items() <= other["metadata"]["labels"].items()]
        names = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in spec["endpoints"]} <= names
        return
    (pod,) = [pod for pod in pods().values() if labels.items() <= pod["metadata"]["labels"].items()]
    names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    asked = [port["targetPort"] for port in spec.get("ports", [])]
    asked += [endpoint["port"] for endpoint in spec.get("podMetricsEndpoints", [])]
    assert set(asked) <= names


def variables(name: str) -> dict[str, str]:
    """Return the environment of a container."""
    return {each["name"]: each["value"] for each in pods()[name]["spec"]["containers"][0]["env"]}


def test_metrics_can_be_scraped_from_outside_the_pod() -> None:
    """By annotation and by port: it is the one that the app is told of, on all interfaces."""
    environment = variables("mnist-serve")
    assert environment["METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - what is looked for
    template = pods()["mnist-serve"]
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == environment["METRICS_PORT"] == str(ports["metrics"])
    assert manifest("ServiceMonitor", "pushgateway")["spec"]["endpoints"][0]["honorLabels"]


def test_the_job_is_a_command_of_the_example() -> None:
    """Its arguments are those that the script has."""
    needs.module("jax")
    python, script, *arguments = pods()["mnist-train"]["spec"]["containers"][0]["command"]
    parse = f"import runpy, sys; sys.argv = sys.argv[1:]; print(runpy.run_path({script!r})['_options']())"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", parse, script, *arguments]
    done = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False)
    assert python == "python"
    assert "gateway='$(PUSHGATEWAY)'" in done.stdout, done.stderr


def test_the_app_is_a_command_of_gunicorn() -> None:
    """Gunicorn has all of its options, and its configuration is there."""
    needs.module("gunicorn")
    program, *arguments = pods()["mnist-serve"]["spec"]["containers"][0]["command"]
    options = importlib.import_module("gunicorn.config").Config().parser().parse_args(arguments)
    assert program == "gunicorn"
    assert (EXAMPLES / options.config).is_file()


def test_dockerfile() -> None:
    """What it copies is there, it is of one version, and its user has no name that a cluster could not check."""
    lines = re.sub(r"\\\n", " ", (FOLDER / "Dockerfile").read_text()).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    instructions = dict(steps)
    assert re.fullmatch(r"python:\d\.\d+-slim", instructions["FROM"])
    assert re.fullmatch(r"\d+:\d+", instructions["USER"])
    assert (EXAMPLES / yaml.safe_load(instructions["CMD"])[1]).is_file()
    kept = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((EXAMPLES.parent / name).exists() for name in kept)
    assert {"gangplank", "adapters", "examples", "pyproject.toml", "README.md"} <= set(kept)
