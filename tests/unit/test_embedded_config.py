"""The configuration of the embedded Milvus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.milvus.embedded.binary import MilvusBinary
from kiteway.milvus.embedded.config import (
    BackendPorts,
    ProxyPorts,
    TLSFiles,
    Tuning,
    backend_settings,
    common_settings,
    kafka_settings,
    member_settings,
    proxy_settings,
    rocksmq_settings,
    write_config,
    write_etcd_config,
)

TEMPLATE = """
etcd:
  endpoints: localhost:{{ etcd_port(int): 2379 }}
  data:
    dir: {{ etcd_data_dir }}
pulsar:
  port: 6650
natsmq:
  server: {port: 4222}
rocksmq:
  path: {{ rocksmq_data_dir }}
  lrucacheratio: 0.06
quotaAndLimits:
  enabled: true
common:
  security:
    tlsMode: {{ tls_mode(int): 0 }}
    authorizationEnabled: {{ authorization_enabled(bool): false }}
"""

PORTS = BackendPorts(*range(101, 109))


@pytest.fixture
def binary(tmp_path: Path) -> MilvusBinary:
    """A Milvus with a small template."""
    template, glog = tmp_path / "template", tmp_path / "glog"
    template.write_text(TEMPLATE)
    glog.write_text("--logtostderr=false\n")
    return MilvusBinary(tmp_path / "milvus", tmp_path, template, glog)


def written(home: Path, binary: MilvusBinary, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the milvus.yaml that `settings` give."""
    write_config(home, binary, settings)
    loaded: dict[str, Any] = yaml.safe_load((home / "configs" / "milvus.yaml").read_text())
    return loaded


def test_the_template_stays_where_nothing_is_set(tmp_path: Path, binary: MilvusBinary) -> None:
    """Milvus's own values and the placeholders' defaults stay: quotas, security."""
    config = written(tmp_path, binary, {"common.session.ttl": 5})
    assert config["quotaAndLimits"] == {"enabled": True}
    assert config["common"]["security"] == {"tlsMode": 0, "authorizationEnabled": False}
    assert config["common"]["session"] == {"ttl": 5}
    assert (tmp_path / "configs" / "glog.conf").read_text() == "--logtostderr=false\n"


def test_only_the_chosen_message_queue_is_configured(tmp_path: Path, binary: MilvusBinary) -> None:
    """The template's other message queues are removed, because Milvus uses any that is present."""
    config = written(tmp_path, binary, rocksmq_settings(tmp_path))
    assert config["mq"] == {"type": "rocksmq"}
    assert config["rocksmq"]["path"] == str(tmp_path / "rocksmq")
    assert not {"pulsar", "natsmq", "kafka"} & config.keys()


def test_tls_is_mode_1_with_both_files(tmp_path: Path, binary: MilvusBinary) -> None:
    """With a certificate the proxy serves TLS (mode 1) from those files; without, plaintext (mode 0)."""
    tls = TLSFiles(tmp_path / "cert.pem", tmp_path / "key.pem")
    config = written(tmp_path, binary, proxy_settings(ProxyPorts(1, 2), tls))
    assert config["common"]["security"]["tlsMode"] == 1
    assert config["tls"] == {"serverPemPath": str(tls.cert), "serverKeyPath": str(tls.key)}
    plain = written(tmp_path, binary, proxy_settings(ProxyPorts(1, 2), None))
    assert plain["common"]["security"]["tlsMode"] == 0


def test_every_port_is_the_chosen_one(tmp_path: Path, binary: MilvusBinary) -> None:
    """All listeners have the chosen ports; embedded etcd gets its ports by its own file."""
    settings = proxy_settings(ProxyPorts(1, 2), None) | backend_settings(PORTS, tmp_path)
    config = written(tmp_path, binary, settings)
    components = ("rootCoord", "queryCoord", "dataCoord", "queryNode", "dataNode", "indexNode")
    assert [config[name]["port"] for name in components] == [103, 104, 105, 106, 107, 108]
    assert (config["proxy"]["port"], config["proxy"]["internalPort"]) == (1, 2)
    assert config["etcd"]["config"]["path"] == str(tmp_path / "configs" / "etcd.yaml")
    write_etcd_config(tmp_path, PORTS)
    etcd = yaml.safe_load((tmp_path / "configs" / "etcd.yaml").read_text())
    assert etcd["listen-client-urls"] == etcd["advertise-client-urls"] == "http://127.0.0.1:101"
    assert etcd["initial-cluster"] == "default=http://127.0.0.1:102"


def test_a_member_uses_the_backends_etcd_and_the_shared_queue(tmp_path: Path, binary: MilvusBinary) -> None:
    """An additional proxy starts no etcd and uses the backend's etcd and message queue."""
    config = written(tmp_path, binary, member_settings(101) | kafka_settings(99))
    assert config["etcd"]["use"]["embed"] is False
    assert config["etcd"]["endpoints"] == "127.0.0.1:101"
    assert config["mq"] == {"type": "kafka"}
    assert config["kafka"]["brokerList"] == "127.0.0.1:99"
    assert not {"pulsar", "natsmq", "rocksmq"} & config.keys()


def test_logs_are_the_processes_own_and_storage_is_shared(tmp_path: Path) -> None:
    """Logs are in the process's home, storage is shared by the cluster; the demo's short times are set."""
    settings = common_settings(tmp_path / "proxy-1", tmp_path / "storage", Tuning(session_ttl=7))
    assert settings["localStorage.path"] == str(tmp_path / "storage")
    assert settings["log.file.rootPath"] == str(tmp_path / "proxy-1" / "logs")
    assert (settings["common.session.ttl"], settings["common.gracefulStopTimeout"]) == (7, 5)
