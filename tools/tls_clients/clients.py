"""The clients: each connects to every host and reports the result in its own words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from tools.built import building, run

HERE = Path(__file__).resolve().parent
_GO = HERE.parents[1] / ".tools" / "tls-client-go"
_SECONDS = 120.0

Words = dict[str, str]
"""What a client said, by host; ``ok`` when it connected."""
Client = Callable[[int, Mapping[str, Path]], Words]
"""Takes the port and by host the file with the CA it trusts."""


def clients() -> dict[str, Client | None]:
    """Return the clients by the name they have in the table; None is one that is not installed here."""
    return {
        "openssl, TLS 1.3": _openssl("-tls1_3"),
        "openssl, TLS 1.2": _openssl("-tls1_2"),
        "openssl, TLS 1.1": _openssl("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
        "openssl, RSA only": _openssl("-tls1_2", "-cipher", "ECDHE+aRSA"),
        "openssl, ECDSA only": _openssl("-tls1_2", "-cipher", "ECDHE+ECDSA"),
        "grpcio (PyMilvus)": _grpcio,
        "Go, crypto/tls": _go(),
        "Java, JSSE": _program("java", "Client.java"),
        "Node.js, tls": _program("node", "client.js"),
        "curl": _curl(),
    }


def _run(command: Sequence[str | Path], stdin: bytes = b"") -> str:
    done = subprocess.run(
        command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=_SECONDS
    )
    return done.stdout.decode(errors="replace")


def build_go_client() -> Path:
    """
    Build the client in Go, unless it is built already; return the program.

    With an empty cache Go compiles its own library first, which takes minutes on a busy machine.

    Raises:
        BuildError: it cannot be built.
    """
    program = _GO / "client"
    with building(HERE / "go", _GO) as needed:
        if needed:
            run("go", "build", "-o", str(program), "client.go", folder=HERE / "go")
    return program


def _go() -> Client | None:
    if shutil.which("go") is None:
        return None
    return lambda port, hosts: _attempt([build_go_client()], port, hosts)


def _program(name: str, source: str) -> Client | None:
    program = shutil.which(name)
    if program is None:
        return None
    return lambda port, hosts: _attempt([program, HERE / source], port, hosts)


def _attempt(command: Sequence[str | Path], port: int, hosts: Mapping[str, Path]) -> Words:
    pairs = [str(part) for pair in hosts.items() for part in pair]
    output = _run([*command, str(port), *pairs])
    found = dict(line.split(" ", 1) for line in output.splitlines() if line.split(" ", 1)[0] in hosts)
    if set(found) != set(hosts):
        raise RuntimeError(f"{command[0]} did not try every host:\n{output}")
    return found


def _openssl(*options: str) -> Client | None:
    program = shutil.which("openssl")
    if program is None:
        return None

    def attempt(port: int, hosts: Mapping[str, Path]) -> Words:
        found = {}
        for host, ca in hosts.items():
            command: list[str | Path] = [
                program,
                "s_client",
                "-connect",
                f"127.0.0.1:{port}",
                "-servername",
                host,
                "-CAfile",
                ca,
            ]
            output = _run([*command, "-verify_return_error", "-verify_hostname", host, "-brief", *options])
            found[host] = "ok" if "Verification: OK" in output else " ".join(output.split())
        return found

    return attempt


def _curl() -> Client | None:
    program = shutil.which("curl")
    if program is None:
        return None

    def attempt(port: int, hosts: Mapping[str, Path]) -> Words:
        found = {}
        for host, ca in hosts.items():
            where: list[str | Path] = ["--resolve", f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/"]
            command = [
                program,
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                "30",
                "--cacert",
                ca,
                *where,
            ]
            output = _run([*command, "--output", "/dev/null", "--write-out", "%{http_code}"])
            found[host] = "ok" if output.strip().isdecimal() and output.strip() != "000" else " ".join(output.split())
        return found

    return attempt


def _grpcio(port: int, hosts: Mapping[str, Path]) -> Words:
    found = {}
    for host, ca in hosts.items():
        options = [("grpc.ssl_target_name_override", host), ("grpc.enable_retries", 0)]
        credentials = grpc.ssl_channel_credentials(ca.read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
            try:
                call: Any = channel.unary_unary("/kiteway/None")
                call(b"", timeout=30)
            except grpc.RpcError as error:
                words = " ".join((error.details() or "").split())
                found[host] = "ok" if words.startswith("kiteway: ") else words
    return found
