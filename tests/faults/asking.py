"""Asks each client and each command about a fault."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.faults import Fault
from tests.faults.site import Site
from tests.support.kiteway import KITEWAY

_UNRELATED = {"REST_PORT", "REST_SAME_PORT", "RestPortMissing"}
"""What they say holds for every Milvus with TLS and is none of the faults."""
_CLIENT = Path(__file__).with_name("client.py")
_LIMIT = 150


@dataclass(frozen=True)
class Said:
    """What was said of a fault, and after how many seconds; empty if nothing was."""

    text: str
    seconds: float


def pymilvus(site: Site, fault: Fault, path: Path | None) -> Said:
    """Return what PyMilvus raises: the one in the folder ``path``, by default the installed one."""
    given: dict[str, Any] = {"uri": f"{'https' if fault.tls else 'http'}://{fault.host}:{site.ports[fault.port]}"}
    if fault.tls and fault.ca:
        given["server_pem_path"] = str(site.folder / fault.ca)
    if fault.server_name:
        given["server_name"] = fault.server_name
    if fault.token:
        given["token"] = fault.token
    environment = os.environ | ({} if path is None else {"PYTHONPATH": str(path)})
    done = subprocess.run(
        [sys.executable, _CLIENT],
        input=json.dumps(given),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return Said(_plain(site, answer["said"]), answer["seconds"])


def verify(site: Site, fault: Fault) -> Said:
    """Return the sentence and the advice of ``kiteway verify``."""
    report, seconds = _kiteway(["verify", *_address(site, fault), "--output", "json"], fault)
    failure = report["failure"]
    return Said(
        _plain(site, f"{failure['reason']}: {failure['sentence']} {failure['fix']}" if failure else ""), seconds
    )


def doctor_address(site: Site, fault: Fault) -> Said:
    """Return what ``kiteway doctor ADDRESS`` finds."""
    return _doctor(site, fault, _address(site, fault), lambda _: True)


def doctor_files(site: Site, fault: Fault) -> Said:
    """Return what ``kiteway doctor -f`` finds at the objects that are wrong."""
    return _doctor(site, fault, ["-f", str(site.manifests)], lambda name: name.rpartition("/")[2] in fault.objects)


def _doctor(site: Site, fault: Fault, where: Sequence[str], concerns: Callable[[str], bool]) -> Said:
    report, seconds = _kiteway(["doctor", *where, "--output", "json"], fault)
    found = [
        f"{check['name']}: {check['message']}"
        for resource in report["resources"]
        if concerns(resource["name"])
        for check in resource["checks"]
        if check["name"] not in _UNRELATED and (check["result"] == "FAILED" or check["name"] == "LEFT_OUT")
    ]
    return Said(_plain(site, "\n".join(dict.fromkeys(found))), seconds)


def status(site: Site, fault: Fault) -> Said:
    """Return what ``kiteway status`` shows of the objects that are wrong."""
    report, seconds = _kiteway(["status", "--data-dir", str(site.folder / "data"), "--output", "json"], fault)
    lines = []
    for pool in report["pools"]:
        if pool["name"].split("/")[1] in fault.objects:
            lines += pool["tls"]["problems"]
            lines += [f"{each['address']}: {each['why']}" for each in pool["endpoints"] if each["why"]]
            lines += [reason for reason in report["reasons"] if pool["name"] in reason]
    lines += [
        f"{each['severity']} {each['reason']}: {each['message']} {each['fix']}"
        for each in report["diagnostics"]
        if each["object"] and each["object"]["name"] in fault.objects and each["reason"] not in _UNRELATED
    ]
    return Said(_plain(site, "\n".join(dict.fromkeys(lines))), seconds)


def _address(site: Site, fault: Fault) -> Sequence[str]:
    arguments = [f"{fault.host}:{site.ports[fault.port]}"]
    if not fault.tls:
        return [*arguments, "--plaintext"]
    if fault.ca:
        arguments += ["--ca", str(site.folder / fault.ca)]
    if fault.server_name:
        arguments += ["--server-name", fault.server_name]
    return arguments


def _kiteway(arguments: Sequence[str], fault: Fault) -> tuple[Mapping[str, Any], float]:
    environment = os.environ | {"KITEWAY_TOKEN": fault.token}
    started = time.monotonic()
    done = subprocess.run(
        [KITEWAY, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT
    )
    seconds = time.monotonic() - started
    assert done.stdout, done.stderr
    return json.loads(done.stdout), seconds


# What differs from run to run.
_SINCE = re.compile(r",? since \d+ \w+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d UTC)?")
_COUNT = re.compile(r"\ball \d+ calls")
_MARKS = re.compile(r"\x1b\[[0-9;]*m")


def _plain(site: Site, text: str) -> str:
    text = _SINCE.sub("", _MARKS.sub("", site.shown(text)))
    return _COUNT.sub("all N calls", _DATE.sub("DATE", text)).strip()
