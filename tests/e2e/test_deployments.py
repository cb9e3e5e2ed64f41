"""The Compose file, systemd's unit and the values for kind: the commands in them work as they stand there."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from kiteway.cli import app
from kiteway.milvus.embedded import StandaloneMilvus
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import KITEWAY, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "examples/compose/compose.yaml"
UNIT = ROOT / "deploy/systemd/kiteway.service"
CERTIFICATE = "state/quickstart/tls.crt"


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


@pytest.mark.milvus
@pytest.mark.usefixtures("port_9091")
def test_the_command_of_compose_serves_milvus(tmp_path: Path) -> None:
    """
    With Milvus at the ports that the file names, its command becomes healthy by its own health check, and PyMilvus
    verifies through the published port with the certificate that the README copies.
    """
    asyncio.run(_compose(tmp_path))


async def _compose(folder: Path) -> None:
    service, data = _services()["kiteway"], folder / "data"
    said = [str(part).replace("/var/lib/kiteway", str(data)) for part in service["command"]]
    command = [part.replace("--to=milvus:", "--to=127.0.0.1:") for part in said]
    assert command != said
    check = [sys.executable if part == "python" else part for part in service["healthcheck"]["test"][1:]]
    async with StandaloneMilvus(folder / "milvus", port=19530, health_port=9091):
        process = await asyncio.create_subprocess_exec(KITEWAY, *command)
        try:
            await asyncio.to_thread(
                wait_until, lambda: subprocess.run(check, check=False, capture_output=True).returncode == 0, "healthy"
            )
            port = int(service["ports"][0].rpartition(":")[2])
            report = await verify(Target(host="localhost", port=port, ca=data / CERTIFICATE))
        finally:
            process.terminate()
            await process.wait()
    assert report.failure is None
    assert f"kiteway:/var/lib/kiteway/{CERTIFICATE}" in (COMPOSE.parent / "README.md").read_text()


def test_compose_gives_milvus_to_kiteway_alone() -> None:
    """Only Kiteway has published ports, and it waits for a healthy Milvus."""
    services = _services()
    assert [name for name, service in services.items() if "ports" in service] == ["kiteway"]
    assert services["kiteway"]["depends_on"] == {"milvus": {"condition": "service_healthy"}}
    assert (COMPOSE.parent / services["kiteway"]["build"]["context"] / "deploy/Dockerfile").is_file()


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with the program of this environment."""
    text = UNIT.read_text()
    assert "ExecStart=/opt/kiteway/bin/kiteway up " in text
    here = tmp_path / UNIT.name
    here.write_text(text.replace("/opt/kiteway/bin/kiteway", str(KITEWAY)))
    return here


def test_systemd_takes_the_unit(unit: Path) -> None:
    """`systemd-analyze verify` finds nothing to say about it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_the_arguments_of_the_unit_are_those_of_up() -> None:
    """Every option of the unit and of its environment file exists."""
    up = get_command(app).commands["up"]  # type: ignore[attr-defined]
    known = {name for parameter in up.params for name in parameter.opts}
    [command] = re.findall(r"^ExecStart=\S+ up (.+)$", UNIT.read_text(), re.MULTILINE)
    [arguments] = re.findall(r'^KITEWAY_ARGS="(.+)"$', UNIT.with_suffix(".env").read_text(), re.MULTILINE)
    given = {word for word in shlex.split(f"{command} {arguments}") if word.startswith("--")}
    assert given
    assert given <= known


def _rendered(values: str) -> list[dict[str, Any]]:
    """Return the objects that the chart makes of values."""
    helm = next(iter((ROOT / ".tools").glob("kubernetes-clients-*/helm")), None)
    if helm is None:
        pytest.skip("helm is not there: tools/kubernetes/clients.py")
    command = [str(helm), "template", "kiteway", str(ROOT / "deploy/chart"), "-f", "-"]
    rendered = subprocess.run(command, input=values, check=True, capture_output=True, text=True).stdout
    return [each for each in yaml.safe_load_all(rendered) if each]


def test_names_of_the_chart_that_look_like_numbers_stay_texts() -> None:
    """YAML would read them as numbers or booleans without quotes."""
    names = {"host": "1.5", "caConfigMap": "123", "caKey": "1.0", "tokenSecret": "5", "tokenKey": "yes"}
    pods = [each for each in _rendered(yaml.safe_dump({"test": names})) if each["kind"] == "Pod"]
    [container] = pods[0]["spec"]["containers"]
    assert container["args"][2:] == ["--server-name=1.5", "--ca=/etc/kiteway/ca/1.0"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "5", "key": "yes"}
    assert pods[0]["spec"]["volumes"][1]["configMap"] == {"name": "123", "items": [{"key": "1.0", "path": "1.0"}]}


def test_the_values_for_kind_open_ports_of_the_node() -> None:
    """The chart takes the values of the walk-through: one Pod, on ports 443 and 80 of the node."""
    text = (ROOT / "docs/how-to/kind.md").read_text()
    [values] = re.findall(r"```yaml\n# kiteway-values\.yaml\n(.+?)```", text, re.DOTALL)
    [deployment] = [each for each in _rendered(values) if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 1
    assert {port.get("hostPort") for port in container["ports"]} == {443, 80, None}
    assert "--publish-address=127.0.0.1" in container["args"]
    [mappings] = re.findall(r"```yaml\n# kind\.yaml\n(.+?)```", text, re.DOTALL)
    [node] = yaml.safe_load(mappings)["nodes"]
    assert {mapping["hostPort"] for mapping in node["extraPortMappings"]} == {443, 80}
