"""The servers of the examples, short of starting them: their configuration, and what the scripts do with Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import needs
import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = Path(__file__).parents[2] / "scripts"
_DOCKER = """#!/bin/sh
echo "$@" >>"{said}"
case "$*" in
    info*) echo "{system}" ;;
    "ps "*) ;;
    *" up "*) exit {status} ;;
esac
"""


@pytest.mark.parametrize("config", ["prometheus/prometheus.yml", "alertmanager/alertmanager.yml"])
def test_configuration_of_servers(config: str) -> None:
    """The servers' own tools accept it."""
    name, package, command = {
        "prometheus": ("promtool", "prometheus", ["check", "config"]),
        "alertmanager": ("amtool", "prometheus-alertmanager", ["check-config"]),
    }[config.partition("/")[0]]
    subprocess.run([needs.program(name, package), *command, str(EXAMPLES / config)], check=True, capture_output=True)


def test_compose_files() -> None:
    """Both are what Compose reads, as its specification has it; every image is of one version."""
    needs.module("check_jsonschema")
    files = [EXAMPLES / "compose.yml", EXAMPLES / "compose.desktop.yml"]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    images = [service["image"] for file in files for service in services(file).values() if "image" in service]
    assert len(images) == 5
    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images)


def test_containers_can_be_reached_from_this_machine_alone() -> None:
    """In the machine's network each listens on loopback, if the script says so; else loopback's ports lead to it."""
    linux, desktop = (services(EXAMPLES / name) for name in ("compose.yml", "compose.desktop.yml"))
    assert {service["network_mode"] for service in linux.values()} == {"host"}
    for service in linux.values():
        assert "${LISTEN_ON:-127.0.0.1}" in str(service.get("command", service.get("environment")))
    ports = [port for service in desktop.values() for port in service.get("ports", [])]
    assert sorted(ports) == [f"127.0.0.1:{port}:{port}" for port in (3000, 9090, 9091, 9093)]
    assert {service["network_mode"] for service in desktop.values()} == {"bridge", "service:prometheus"}
    assert desktop.keys() - linux.keys() == {"example"}


def test_files_of_containers_are_there() -> None:
    """What is mounted is in the checkout: Docker would make a folder of what is not."""
    for service in services(EXAMPLES / "compose.yml").values():
        for volume in service.get("volumes", []):
            assert (EXAMPLES / volume.split(":")[0]).exists(), volume


def services(file: Path) -> dict[str, Any]:
    """Return the services of a Compose file."""
    found: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
    return found


def test_scripts() -> None:
    """ShellCheck finds nothing in any of them, as scripts for the plainest shell."""
    shellcheck = needs.program(str(Path(sys.executable).with_name("shellcheck")), "shellcheck")
    scripts = [*EXAMPLES.glob("*.sh"), *SCRIPTS.glob("*.sh")]
    done = subprocess.run([shellcheck, "-x", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The examples in another place, without what they have stored."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns(".servers", "models")))


def docker(folder: Path, system: str, status: int) -> Path:
    """Make a docker that starts nothing, and return where it writes down what it is asked."""
    said = folder / "said"
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(_DOCKER.format(said=said, system=system, status=status))
    program.chmod(0o755)
    return said


@pytest.mark.parametrize(("system", "overlays"), [("Debian GNU/Linux 12", 0), ("Docker Desktop", 1)])
def test_containers_that_do_not_start_are_removed(copy: Path, tmp_path: Path, system: str, overlays: int) -> None:
    """By the files for where Docker runs; the programs on the PATH are then not tried."""
    needs.program("curl", "curl")
    said = docker(tmp_path, system, status=1)
    environment = {**os.environ, "PATH": f"{said.with_name('bin')}:{os.environ['PATH']}"}
    done = subprocess.run(
        [needs.program("sh", "dash"), "start_prometheus.sh"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "is taken by" in done.stderr:
        needs.missing("the ports of the examples' servers, free")
    assert done.returncode == 1
    assert "The containers did not start" in done.stderr
    asked = said.read_text().splitlines()
    (up,) = [line for line in asked if " up " in line]
    assert up.count("--file") == 1 + overlays
    assert up.endswith("up --detach --wait --wait-timeout 60")
    assert asked[-1].endswith("down --volumes")
    assert not (copy / ".servers").exists()


def test_nothing_to_start(copy: Path, tmp_path: Path) -> None:
    """Without Docker and without the programs it says what to install."""
    program = tmp_path / "bin"
    program.mkdir()
    for name in ("curl", "dirname", "cat", "tr"):
        (program / name).symlink_to(needs.program(name, name))
    done = subprocess.run(
        [needs.program("sh", "dash"), "start_prometheus.sh"],
        cwd=copy,
        env={"PATH": str(program)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "prometheus is not on the PATH" in done.stderr
    assert "install_servers.sh" in done.stderr
