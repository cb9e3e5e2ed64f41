"""The demo itself: the guide, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kiteway import __version__
from kiteway.certificates.create import create_self_signed
from kiteway.controlplane.config import Config
from kiteway.dashboard.config import DashboardConfig
from kiteway.demo import guide
from kiteway.demo.backends import Backend, embedded, lite
from kiteway.demo.cache import CacheNotShownError, search_twice
from kiteway.demo.report import DemoReport
from kiteway.envoy.otlp import OtlpSettings
from kiteway.envoy.settings import EnvoySettings
from kiteway.files import write_atomic
from kiteway.filter import filter_path
from kiteway.instance import Instance
from kiteway.launch import Launch, launch
from kiteway.milvus.embedded import FIRST_USER
from kiteway.milvus.verify import Step, Target, VerifyReport, verify
from kiteway.ports import PATIENCE_SECONDS, Claims, Port, PortError, own_ports, ports_of
from kiteway.probe.threads import in_daemon_thread
from kiteway.status.client import read_status
from kiteway.supervisor import wait_ready

T = TypeVar("T")

READY_SECONDS = 60.0
VERIFY_SECONDS = 120.0
_HEALTHY_SECONDS = 60.0
_PORT = 8443
_TITLES = {"embedded": "Milvus (tlsMode: 1)", "lite": "Milvus Lite, with TLS before it"}


@dataclass(frozen=True, slots=True)
class Options:
    """
    The settings of the demo.

    Attributes:
        data_dir: the folder for everything that the demo writes.
        envoy: the Envoy binary.
        milvus: ``embedded`` or ``lite``.
        proxies: how many proxies Milvus has.
        https_port: the public port; None takes 8443, or a free one.
        once: end after the verification.
        auth: whether Milvus asks for a login.
        otlp: the collector that gets traces; None: there are none.
        dashboard: the web page; None: there is none.
    """

    data_dir: Path
    envoy: Path
    milvus: str
    proxies: int
    https_port: int | None
    once: bool
    auth: bool = False
    otlp: OtlpSettings | None = None
    dashboard: DashboardConfig | None = None


class StoppedError(Exception):
    """A signal, ``number``, ended the demo before it had verified anything."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Narrator:
    """Reports each step and records its time."""

    def __init__(self, report: DemoReport, say: Callable[[str], None]) -> None:
        self._report = report
        self.say = say

    @contextlib.contextmanager
    def step(self, name: str, title: str) -> Any:
        """Time the body; a step that raises is reported as failed."""
        self.say(f"• {title}")
        began = time.monotonic()
        done = False
        try:
            yield
            done = True
        finally:
            self._report.add_step(name, ok=done, seconds=time.monotonic() - began)


async def run(
    options: Options, say: Callable[[str], None], connected: Callable[[Options, Path, int], None]
) -> DemoReport:
    """
    Do the guide's steps, then serve until a signal (unless ``once``).

    ``connected`` is called with the certificate's file and the public port as soon as a client can connect.

    Raises:
        StoppedError: a signal ended it before the end of the verification.
        asyncio.CancelledError: as before, while the supervisor did not run; asyncio turns that of Ctrl-C into KeyboardInterrupt.
    """
    report = DemoReport(versions={"kiteway": __version__})
    narrator = Narrator(report, say)
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    backend_context = (
        lite(options.data_dir, options.proxies, narrator.say)
        if options.milvus == "lite"
        else embedded(options.data_dir, options.proxies, narrator.say, auth=options.auth)
    )
    async with contextlib.AsyncExitStack() as stack:
        instance = Instance(options.data_dir)
        stack.enter_context(instance.acquire())
        port, claims = stack.enter_context(_public_port(options.https_port, options.dashboard))
        with narrator.step("milvus", f"Tweak Milvus configurations: start {_TITLES[options.milvus]}"):
            backend = await stack.enter_async_context(backend_context)
            say(f"  {backend.title}")
        await _balance(_Place(options, instance, port, claims), backend, narrator, report, connected)
    return report


@dataclass(frozen=True, slots=True)
class _Place:
    """The settings, the balancer's files, its port and the claim on this port."""

    options: Options
    instance: Instance
    port: int
    claims: Claims


@contextlib.contextmanager
def _public_port(wanted: int | None, page: DashboardConfig | None) -> Iterator[tuple[int, Claims]]:
    """Own the port of ``page``, and ``wanted``, by default 8443 or a free port. Raises PortError."""
    with contextlib.ExitStack() as stack:
        port = wanted or _PORT
        try:
            claims = stack.enter_context(
                own_ports(_ports(port, page), patience=0.0 if wanted is None else PATIENCE_SECONDS, replaces=False)
            )
        except PortError:
            if wanted is not None:
                raise
            port = _free_port()
            claims = stack.enter_context(own_ports(_ports(port, page), replaces=False))
        yield port, claims


def _ports(port: int, page: DashboardConfig | None) -> tuple[Port, ...]:
    return ports_of(EnvoySettings(https_port=port, http_port=None), dashboard_bind=page.bind if page else None)


async def _balance(
    place: _Place,
    backend: Backend,
    narrator: Narrator,
    report: DemoReport,
    connected: Callable[[Options, Path, int], None],
) -> None:
    with narrator.step("manifests", "Set up a health check endpoint: BackendConfig and the Service's annotations"):
        folder = _manifests(place.options.data_dir)
    with narrator.step("certificate", f"Create self-managed certificates: {guide.HOST}, with a SAN"):
        certificate = _certificate(place.options.data_dir, folder)
    instance = place.instance
    async with _instance(place, backend, folder) as signalled:
        with narrator.step("ingress", "Create an Ingress to generate a Layer-7 load balancer"):
            await _first(wait_ready(instance, READY_SECONDS), signalled)
            await _first(_wait_healthy(instance, len(backend.endpoints)), signalled)
        with narrator.step("verify", "Verify the connection through the Layer-7 load balancer"):
            found = await _first(_verify(_target(certificate, place), narrator), signalled)
        status = await asyncio.to_thread(read_status, instance)
        report.complete(found, status)
        # Milvus Lite has no timestamps to ask for.
        if found.verified and place.options.milvus != "lite" and status.filter.loaded:
            await _first(_show_cache(_target(certificate, place), narrator, report), signalled)
        if found.verified and not place.options.once:
            for address, calls in report.requests_per_endpoint.items():
                narrator.say(f"  {calls} calls at {address}")
            connected(place.options, certificate, place.port)
            await signalled


def _manifests(data_dir: Path) -> Path:
    """Copy the guide's manifests to a folder in which the user can read and edit them."""
    source = guide.manifests()
    folder = data_dir / "manifests"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in sorted(source.glob("*.yaml")):
        write_atomic(folder / file.name, file.read_bytes())
    return folder


def _certificate(data_dir: Path, folder: Path) -> Path:
    # For the only host of the manifests: a name that nothing routes must not look as if it worked.
    pair = create_self_signed([guide.HOST])
    write_atomic(folder / "secret.yaml", guide.secret(pair), 0o600)
    file = data_dir / "tls.crt"
    write_atomic(file, pair.certificate)
    return file


@contextlib.asynccontextmanager
async def _instance(place: _Place, backend: Backend, folder: Path) -> AsyncIterator[asyncio.Future[signal.Signals]]:
    """Run the balancer; yield the signal that ends it, which is there before the drain is over."""
    own_network = f"/proc/{os.getpid()}/ns/net"
    settings = EnvoySettings(
        https_port=place.port,
        http_port=None,
        public_https_port=place.port,
        # Envoy runs in Milvus's namespace; only the public listener is bound in this one.
        listener_network_namespace=own_network if backend.namespace else None,
        filter_path=filter_path(),
        otlp=place.options.otlp,
    )
    config = Config(str(place.instance.data_dir), (str(folder),), settings, backend.endpoints, cache_by_default=True)
    prefix = backend.namespace.command_prefix if backend.namespace else ()
    what = Launch(
        place.instance,
        config,
        place.options.envoy,
        place.claims,
        envoy_prefix=prefix,
        drain_seconds=5.0,
        dashboard=place.options.dashboard,
    )
    signalled: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(launch(what, lambda _: None, signalled.set_result))
    # If the supervisor fails there is no signal to wait for; its error is raised where its task is awaited.
    task.add_done_callback(lambda _: signalled.done() or signalled.cancel())
    try:
        yield signalled
    finally:
        # After a signal it drains, and ends by itself.
        if not signalled.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _first(work: Coroutine[Any, Any, T], signalled: asyncio.Future[signal.Signals]) -> T:
    """Return the result of ``work``. Raises `StoppedError` for a signal that comes first."""
    task = asyncio.create_task(work)
    either: set[asyncio.Future[Any]] = {task, signalled}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    task.cancel()
    raise StoppedError(signalled.result())


async def _wait_healthy(instance: Instance, endpoints: int) -> None:
    """Wait until every endpoint is healthy; the first health check of an endpoint may come a moment late."""
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while True:
        status = await asyncio.to_thread(read_status, instance)
        healthy = [endpoint for pool in status.pools for endpoint in pool.endpoints if endpoint.healthy]
        if len(healthy) >= endpoints or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)


def _target(certificate: Path, place: _Place) -> Target:
    token = FIRST_USER if place.options.auth else None
    return Target(host="127.0.0.1", port=place.port, ca=certificate, server_name=guide.HOST, token=token)


async def _show_cache(target: Target, narrator: Narrator, report: DemoReport) -> None:
    """Repeat a search until the cache answers it; if the cache cannot be shown, the guide is verified all the same."""
    try:
        with narrator.step("cache", "Repeat a search until Kiteway answers it from its cache"):
            first, second = await in_daemon_thread(lambda: search_twice(target), name="demo-cache")
    except Exception as error:  # noqa: BLE001 - whatever PyMilvus raises
        why = str(error) if isinstance(error, CacheNotShownError) else f"{type(error).__name__}: {error}"
        narrator.say(f"  not shown: {why}")
        return
    report.searches = [first, second]
    for words, search in (("from Milvus", first), ("the same again", second)):
        narrator.say(f"    {words:<16} {search.seconds * 1000:6.1f} ms  {search.outcome}")


async def _verify(target: Target, narrator: Narrator) -> VerifyReport:
    def on_step(step: Step) -> None:
        mark = "ok" if step.ok else "FAILED"
        narrator.say(f"    {step.name:<15} {mark:<7} {step.seconds:6.2f} s  {step.detail}")

    return await verify(target, on_step=on_step, timeout=VERIFY_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remove(data_dir: Path) -> None:
    """Remove everything the demo wrote."""
    shutil.rmtree(data_dir, ignore_errors=True)
