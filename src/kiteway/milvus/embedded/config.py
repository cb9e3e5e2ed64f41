"""The configuration directory (`MILVUSCONF`) of one Milvus process.

The base is the template in the package `milvus`, so limits and quotas are Milvus's own; the
settings in which an embedded server differs are set on top. Key names:
https://milvus.io/docs/v2.3.x/system_configuration.md
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kiteway.milvus.embedded.binary import MilvusBinary

# The package's placeholders: {{ name }}, {{ name(type) }}, {{ name(type): default }}.
_PLACEHOLDER = re.compile(r"\{\{\s*\w+(?:\(\w+\))?\s*(?::\s*(?P<default>[^}]*?))?\s*\}\}")

Settings = dict[str, Any]
"""Values by dotted key, as in `common.session.ttl`."""


@dataclass(frozen=True)
class ClientFiles:
    """The CA of client certificates, and a client certificate with its key for the readiness probe; PEM."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True)
class TLSFiles:
    """A server certificate (chain) and its private key, PEM; with ``clients``, clients show a certificate too."""

    cert: Path
    key: Path
    clients: ClientFiles | None = None


@dataclass(frozen=True)
class ProxyPorts:
    """The TCP ports of one serving proxy."""

    serving: int
    internal: int


@dataclass(frozen=True)
class BackendPorts:
    """The TCP ports of everything behind the proxies in one process."""

    etcd_client: int
    etcd_peer: int
    root_coord: int
    query_coord: int
    data_coord: int
    query_node: int
    data_node: int
    index_node: int


FIRST_USER = "root:Milvus"
"""Milvus's own first user, whose name and password are public. Without authorization Milvus ignores it."""


@dataclass(frozen=True)
class Tuning:
    """Settings in which the demo differs from production."""

    session_ttl: int = 5
    """Seconds until the cluster removes a dead process: Strong reads wait that long."""
    graceful_stop_timeout: int = 5
    """Seconds of Milvus's own graceful shutdown."""
    authorization: bool = False
    """Whether every call needs credentials; the first ones are `root` and `Milvus`."""
    time_tick_ms: int = 200
    """How often a proxy reports its time, in milliseconds: rows become readable that much later."""


def common_settings(home: Path, storage: Path, tuning: Tuning) -> Settings:
    """Return the settings common to all processes: logs below its `home`, a cluster's shared `storage`."""
    return {
        "localStorage.path": str(storage),
        "log.file.rootPath": str(home / "logs"),
        "log.file.maxSize": 50,  # MB
        "log.file.maxBackups": 2,
        "log.stdout": False,
        "common.storageType": "local",
        "common.session.ttl": tuning.session_ttl,
        "common.security.authorizationEnabled": tuning.authorization,
        "common.gracefulStopTimeout": tuning.graceful_stop_timeout,
        "proxy.gracefulStopTimeout": tuning.graceful_stop_timeout,
        "proxy.timeTickInterval": tuning.time_tick_ms,
    }


def proxy_settings(ports: ProxyPorts, tls: TLSFiles | None, rest_port: int | None = None) -> Settings:
    """Return a proxy's listeners; with `tls`, `tlsMode: 1`, or 2 where clients show a certificate; REST on `rest_port`."""
    settings: Settings = {
        "proxy.port": ports.serving,
        "proxy.internalPort": ports.internal,
        "common.security.tlsMode": 0,
    }
    if tls is not None:
        settings["common.security.tlsMode"] = 1
        settings["tls.serverPemPath"] = str(tls.cert)
        settings["tls.serverKeyPath"] = str(tls.key)
    if tls is not None and tls.clients is not None:
        settings["common.security.tlsMode"] = 2
        settings["tls.caPemPath"] = str(tls.clients.ca)
    if rest_port is not None:
        settings["proxy.http.port"] = rest_port
    return settings


def backend_settings(ports: BackendPorts, home: Path) -> Settings:
    """Return the addresses of the coordinators, the nodes and embedded etcd; `write_etcd_config` writes etcd's own file."""
    return {
        "etcd.use.embed": True,
        "etcd.endpoints": f"127.0.0.1:{ports.etcd_client}",
        "etcd.data.dir": str(home / "etcd"),
        "etcd.config.path": str(config_dir(home) / "etcd.yaml"),
        "rootCoord.port": ports.root_coord,
        "queryCoord.port": ports.query_coord,
        "dataCoord.port": ports.data_coord,
        "queryNode.port": ports.query_node,
        "dataNode.port": ports.data_node,
        "indexNode.port": ports.index_node,
    }


def member_settings(etcd_client_port: int) -> Settings:
    """Return the settings by which another process finds its cluster."""
    return {"etcd.use.embed": False, "etcd.endpoints": f"127.0.0.1:{etcd_client_port}"}


def rocksmq_settings(home: Path) -> Settings:
    """Return the settings of the message queue inside a standalone process."""
    return {"mq.type": "rocksmq", "rocksmq.path": str(home / "rocksmq")}


def kafka_settings(broker_port: int) -> Settings:
    """Return the settings of the message queue that several processes share."""
    return {"mq.type": "kafka", "kafka.brokerList": f"127.0.0.1:{broker_port}", "kafka.readTimeout": 10}


def config_dir(home: Path) -> Path:
    """Return the configuration directory of the process with this `home`."""
    return home / "configs"


def write_config(home: Path, binary: MilvusBinary, settings: Settings) -> None:
    """Write `milvus.yaml` and `glog.conf` for the process with this `home`."""
    config = _template(binary.config_template)
    # Milvus uses a message queue if its section is present at all.
    for section in ("pulsar", "natsmq", "rocksmq"):
        config.pop(section, None)
    for key, value in settings.items():
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    directory = config_dir(home)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "milvus.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    shutil.copyfile(binary.glog_config, directory / "glog.conf")


def write_etcd_config(home: Path, ports: BackendPorts) -> None:
    """Write `etcd.yaml` for the process with this `home`: embedded etcd reads its ports only from this file."""
    client = f"http://127.0.0.1:{ports.etcd_client}"
    peer = f"http://127.0.0.1:{ports.etcd_peer}"
    config = {
        "name": "default",
        "data-dir": str(home / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-outputs": [str(home / "logs" / "etcd.log")],
        "log-level": "warn",
    }
    config_dir(home).mkdir(parents=True, exist_ok=True)
    (config_dir(home) / "etcd.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def _template(path: Path) -> dict[str, Any]:
    text = _PLACEHOLDER.sub(lambda match: match["default"] or "", path.read_text())
    loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict):
        raise TypeError(f"{path} is not the configuration template of Milvus")
    return loaded
