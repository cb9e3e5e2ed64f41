"""Sessions of the Go, Node and Java SDKs with TLS and authorization, through a cache, to a real Milvus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymilvus import MilvusClient

from kiteway.demo.guide import HOST
from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles, Tuning
from tests.e2e.test_calls import Counted
from tests.e2e.traffic import Backend
from tests.support.kiteway import tls_files, up_with_guide, wait_until
from tests.support.leaks import places_with_secrets
from tools import sdks

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.sdks,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

ROOT = ("root", "Milvus")
DATABASE = "zoo"
REPEATS = 16
COMPARED = {"CreateCollection", "Insert", "CreateIndex", "LoadCollection", "Search", "Query", "DropCollection"}


class User(NamedTuple):
    """Whom an SDK connects as."""

    name: str
    password: str


USERS = {name: User(f"{name}_user", f"s3cret-of-{name}") for name in sdks.NEEDS}


class Site(NamedTuple):
    """Kiteway in front of Milvus."""

    counted: Counted
    front: TLSFiles

    def run(self, name: str, client: list[str]) -> list[dict[str, Any]]:
        """Run a client's session; return what it did and got."""
        user = USERS[name]
        settings = {"host": HOST, "port": self.counted.port, "ca": str(self.front.cert), "database": DATABASE}
        settings |= {"user": user.name, "password": user.password, "collection": f"{name}_books", "repeats": REPEATS}
        # Go has no option for a CA: its own TLS library reads this.
        environment = os.environ | {"SSL_CERT_FILE": str(self.front.cert)}
        done = subprocess.run(
            client,
            input=json.dumps(settings),
            capture_output=True,
            text=True,
            timeout=150,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # A library of the Java SDK writes its warnings to the standard output too, without a newline at their end.
        return [json.loads("{" + text) for text in re.findall(r"\{(.*)", done.stdout)]

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the access log."""
        log = self.counted.running.instance.log_dir / "access.log"
        whole = log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def ended(self) -> int:
        """Return how many sessions the log has; each ends with a DropCollection."""
        return sum(rpc(line) == "DropCollection" for line in self.lines())


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Run Milvus with TLS and authorization, and Kiteway with a cache before it; make the database and the users."""
    # The path of a unix socket is short; pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    backend, front = tls_files(folder, "backend", "localhost"), tls_files(folder, "front", HOST)
    milvus = StandaloneMilvus(folder / "milvus", tls=backend, tuning=Tuning(authorization=True))
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    loop = asyncio.Runner()
    loop.run(milvus.start())
    try:
        at = [(milvus.endpoint.port, milvus.endpoint.health_port)]
        options = ["--log-calls", "--metrics-bind", metrics]
        cache = {"cache": {"enabled": True}}
        with up_with_guide(folder / "data", front, port, at, drain=1, policy=cache, options=options) as running:
            trust = {"server_pem_path": str(front.cert), "server_name": HOST}
            root = MilvusClient(f"https://127.0.0.1:{port}", token=":".join(ROOT), **trust)
            root.create_database(DATABASE)
            for user in USERS.values():
                root.create_user(*user)
                root.grant_role(user_name=user.name, role_name="admin")
            root.close()
            yield Site(Counted(running, metrics, port, Backend()), front)
    finally:
        loop.run(milvus.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


def client_of(name: str) -> list[str]:
    """Return the command of a client, or skip."""
    if lacking := sdks.missing(name):
        pytest.skip(f"{', '.join(lacking)} not on PATH")
    command = sdks.command(name)
    if command is None:
        pytest.skip("the client is not built: make test-sdks")
    return command


@pytest.mark.parametrize("name", sdks.NEEDS)
def test_a_session_is_named_right_and_its_second_equal_search_hits(site: Site, name: str) -> None:
    """Log, metrics and `top` have the calls as the client made them; the Search after the one that is kept is a hit; no secret."""
    client = client_of(name)
    user, collection = USERS[name].name, f"{name}_books"
    before = site.ended()
    made = site.run(name, client)
    assert Counter(call["rpc"] for call in made) == Counter(COMPARED) + Counter({"Search": REPEATS - 1})
    searches = [call for call in made if call["rpc"] == "Search"]
    assert searches[-1]["rows"] == 10

    # The log is written with a delay; the sessions are one after the other.
    wait_until(lambda: site.ended() > before, "the log has the session", 30)
    lines = site.lines()
    begin = max((i for i, line in enumerate(lines[:-1]) if rpc(line) in {"DropCollection", "OperateUserRole"}))
    session = lines[begin + 1 :]
    noted = [line for line in session if rpc(line) in COMPARED]
    assert [rpc(line) for line in noted] == [call["rpc"] for call in made]
    for line, call in zip(noted, made, strict=True):
        assert compared(line) == call
        assert (line["endpoint"] is None) == (line["cache"] == "hit")
    searched = [line["cache"] for line in noted if rpc(line) == "Search"]
    # Nothing can be kept until the collection's level is known and a timestamp is 1 s old.
    first = searched.index("miss")
    assert set(searched[:first]) <= {"bypass"}, searched
    assert searched[first + 1] == "hit", searched
    hits = searched.count("hit")
    assert hits >= REPEATS // 4, searched
    asked = [line["call"] for line in session if line["call"] is not None]
    assert {call["user"] for call in asked} == {user}
    assert {call["code"] for call in asked} == {0}
    named = {(call["database"], call["collection"]) for call in asked if "collection" in call}
    assert named == {(DATABASE, collection)}

    _compare_top_and_metrics(site.counted, made, hits, collection)
    users = {row["user"]: row for row in site.counted.top("--by", "user")}
    assert users[user]["rows"] == sum(call.get("rows", 0) for call in asked)
    # The cache's own calls (AllocTimestamp, DescribeCollection) belong to no user or collection.
    assert users[user]["calls"] == len(asked)

    secrets = [user.password for user in USERS.values()]
    secrets += [":".join(user) for user in [ROOT, *USERS.values()]]
    assert places_with_secrets(site.counted.running, site.counted.metrics, secrets) == []


def _compare_top_and_metrics(counted: Counted, made: list[dict[str, Any]], hits: int, collection: str) -> None:
    labels = {"database": DATABASE, "collection": collection}
    rows = {row["rpc"]: row for row in counted.top("--by", "rpc") if row["collection"] == collection}
    expected = Counter(call["rpc"] for call in made)
    for each, calls in expected.items():
        assert counted.value("kiteway_calls_total", rpc=each, **labels) == calls, each
        assert (rows[each]["database"], rows[each]["calls"]) == (DATABASE, calls), each
    [row] = [row for row in counted.top("--by", "collection") if row["collection"] == collection]
    reads = sum(call["rpc"] in {"Search", "Query"} for call in made)
    assert (row["database"], sum(row["cache"].values()), row["cache"]["hit"]) == (DATABASE, reads, hits)


def rpc(line: Mapping[str, Any]) -> str:
    """Return the rpc of a line of the log."""
    return str(line["path"]).rpartition("/")[2]


def compared(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line says of a call, as the clients print it."""
    said = line["call"]
    return {"rpc": rpc(line)} | {key: said[key] for key in ("nq", "limit", "rows") if key in said}
