"""The commands of the README and of a how-to, before a real Milvus; only addresses and folders are replaced."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pymilvus import MilvusClient, MilvusException

from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.embedded import MilvusCluster, StandaloneMilvus
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import KITEWAY, Running, tls_files, up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
needs_milvus = [pytest.mark.milvus, pytest.mark.usefixtures("port_9091")]

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
HOW_TO = ROOT / "docs/how-to/a-milvus-that-runs-already.md"
_DATA = "~/.local/state/kiteway"
_RATE_LIMIT = 8


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with the examples, whose path leaves room for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    (made / "examples").symlink_to(ROOT / "examples")
    yield made
    shutil.rmtree(made)


def _blocks(page: Path) -> list[str]:
    return re.findall(r"^```(?:ba)?sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def _command(page: Path, beginning: str) -> str:
    """Return the one command of a page that begins so, in one line."""
    lines = [line for block in _blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    [found] = [" ".join(line.split()) for line in lines if line.startswith(beginning)]
    return found


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{KITEWAY.parent}:/usr/bin:/bin"
    shell = ["bash", "-euc", command]
    return subprocess.run(
        shell,
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _secret(folder: Path) -> None:
    made = _run(_command(README, "kiteway cert create --host my-release.milvus.io --secret"), folder)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("beginning", ["kiteway plan -f", "kiteway doctor -f"])
def test_manifests_are_judged_without_an_error(beginning: str, folder: Path) -> None:
    """After `kiteway cert create` of the README, its `plan` and `doctor` of the guide's manifests find no error."""
    _secret(folder)
    done = _run(_command(README, beginning), folder)
    assert done.returncode == 0, done.stdout + done.stderr


class TestBeforeMilvus:
    """The same commands with real endpoints."""

    pytestmark = needs_milvus

    def test_the_guides_manifests_lead_to_two_proxies(self, folder: Path, free_port: Callable[[], int]) -> None:
        """`kiteway up -f` of the README serves two proxies, and its `kiteway verify` verifies with the file that it names."""
        asyncio.run(_guide(folder, free_port()))

    @pytest.mark.skipif(filter_path() is None, reason=missing_reason())
    def test_a_policy_beside_to_is_in_force_and_followed(self, folder: Path, free_port: Callable[[], int]) -> None:
        """`kiteway up --to -f` of the how-to takes its MilvusPolicy, and a change of the file, while PyMilvus calls."""
        asyncio.run(_policy(folder, free_port()))


async def _guide(folder: Path, port: int) -> None:
    _secret(folder)
    tls = tls_files(folder, "backend", "milvus.internal")
    async with MilvusCluster(folder / "milvus", proxies=2, tls=tls) as cluster:
        command = _command(README, "kiteway up -f examples/guide-self-managed -f secret.yaml")
        for written, proxy in zip(
            ("10.0.0.5:19530,health=9091", "10.0.0.6:19530,health=9091"), cluster.endpoints, strict=True
        ):
            assert written in command
            command = command.replace(written, f"127.0.0.1:{proxy.port},health={proxy.health_port}")
        with _up(command, folder, port) as running:
            await asyncio.to_thread(running.wait_healthy, 2)
            check = _command(README, "kiteway verify localhost:8443 --server-name")
            check = check.replace("8443", str(port)).replace(_DATA, str(folder / "data"))
            done = await asyncio.to_thread(_run, check, folder)
            assert done.returncode == 0, done.stdout + done.stderr
            assert all(endpoint["calls"] for endpoint in running.status()["pools"][0]["endpoints"])


async def _policy(folder: Path, port: int) -> None:
    [block] = [block for block in _blocks(HOW_TO) if "cat > policy.yaml" in block]
    written, _, command = block.rstrip().rpartition("\n")
    assert _run(written, folder).returncode == 0
    policy = folder / "policy.yaml"
    async with StandaloneMilvus(folder / "milvus", health_port=9091) as milvus:
        command = command.replace("localhost:19530", f"127.0.0.1:{milvus.endpoint.port}")
        with _up(command, folder, port) as running:
            await asyncio.to_thread(running.wait_healthy, 1)
            certificate = folder / "data/state/quickstart/tls.crt"
            assert (await verify(Target(host="localhost", port=port, ca=certificate))).verified
            policy.write_text(policy.read_text().replace("requestsPerSecond: 20", "requestsPerSecond: 1"))
            client = MilvusClient(f"https://localhost:{port}", server_pem_path=str(certificate), token="root:Milvus")
            sentence = "kiteway: rate limit exceeded: requests per second of this user"
            await asyncio.to_thread(
                wait_until, lambda: any(sentence in said for said in _asked(client, 10)), "the new limit is in force"
            )
            client.close()


def _up(command: str, folder: Path, port: int) -> AbstractContextManager[Running]:
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("kiteway", "up")
    given = [str(folder / each) if (folder / each).exists() else each for each in arguments]
    return up([*given, "--https-port", str(port), "--http-port", "0", "--drain", "1"], folder / "data")


def _asked(client: MilvusClient, times: int) -> list[str]:
    """Ask so often at once; return what the refused calls were told. No call is repeated."""

    def ask(_: int) -> str:
        try:
            client.has_collection("books", retry_on_rate_limit=False)
        except MilvusException as error:
            if error.code != _RATE_LIMIT:
                raise
            return str(error.message)
        return ""

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(ask, range(times)))
