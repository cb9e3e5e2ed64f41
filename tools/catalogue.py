"""
Compare the catalogue of rpcs with the newest PyMilvus and the newest milvus-proto, or bring it up to date.

A row of ``src/kiteway/milvus/rpcs.json`` has facts of the wire (service, messages, stream, field numbers) and a judgement
(class, retry, changes, scope, later, note). Facts are read from the protobuf descriptors of the sources. Judgements are
made by people: a new rpc gets the most cautious one, with a note that says so, until it has been judged.

Usage: ``python -m tools.catalogue [--write] SOURCE...``. A source is ``pymilvus=FOLDER``, the folder that a PyMilvus was
installed into, or ``go=MODULE``, the path of a Go module whose newest version is fetched. Without ``--write`` the command
prints what is new and changes nothing. Exit status: 0 nothing is new, 1 something is, 2 a source cannot be read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from kiteway.milvus.catalogue import MILVUS_PACKAGE, Changes, RequestFields, Retry, Rpc, RpcClass, Scope, Stream
from tools.built import BuildError, run

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "src/kiteway/milvus/rpcs.json"
NOT_JUDGED = "Not judged yet: new in "
_FILE = "milvus.proto"
_NOT_SERVED = frozenset({"ProxyService"})
"""A service that Milvus's proxy does not register; milvus-proto still defines it."""

_STREAMS = {(False, False): Stream.UNARY, (False, True): Stream.SERVER, (True, True): Stream.BIDIRECTIONAL}
ROLES: Mapping[str, str] = {
    "db_name": "database",
    "dbName": "database",
    "collection_name": "collection",
    "collectionName": "collection",
    "collection_names": "collection",
    "oldName": "collection",
    "alias": "alias",
    "newName": "new_collection",
    "target_collection_name": "new_collection",
    "newDBName": "new_database",
    "target_db_name": "new_database",
    "partition_name": "partitions",
    "partition_names": "partitions",
}
"""How requests spell the names of `RequestFields`."""

_FROM_PYMILVUS = """\
import sys
sys.path.insert(0, sys.argv[1] + "/pymilvus")
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_gen import milvus_pb2
files, added = FileDescriptorSet(), set()
def add(file):
    if file.name not in added:
        added.add(file.name)
        for other in file.dependencies:
            add(other)
        file.CopyToProto(files.file.add())
add(milvus_pb2.DESCRIPTOR)
sys.stdout.buffer.write(files.SerializeToString())
"""
"""Without the package's own ``__init__``, which imports everything that PyMilvus needs."""

_FROM_GO = """\
package main

import (
	"os"

	"%s/milvuspb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

var files, added = &descriptorpb.FileDescriptorSet{}, map[string]bool{}

func add(file protoreflect.FileDescriptor) {
	if added[file.Path()] {
		return
	}
	added[file.Path()] = true
	for i := 0; i < file.Imports().Len(); i++ {
		add(file.Imports().Get(i))
	}
	files.File = append(files.File, protodesc.ToFileDescriptorProto(file))
}

func main() {
	add(milvuspb.File_milvus_proto)
	data, err := proto.Marshal(files)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(data)
}
"""


class SourceError(Exception):
    """A source cannot be read; the message says which one and why."""


class Source(NamedTuple):
    """The methods of a release, by path; its name says which release."""

    name: str
    methods: Mapping[str, MethodDescriptor]


class Difference(NamedTuple):
    """One difference: what is seen in which source, and the row as it must be."""

    rpc: str
    source: str
    what: str
    row: Rpc


def read_source(text: str) -> Source:
    """
    Read a source of the command line.

    Raises:
        SourceError: it cannot be read.
    """
    kind, _, place = text.partition("=")
    match kind:
        case "pymilvus":
            version = next((p.name.split("-")[1] for p in Path(place).glob("pymilvus-*.dist-info")), "")
            return source(
                f"PyMilvus {version.removesuffix('.dist')}", _run(sys.executable, "-c", _FROM_PYMILVUS, place)
            )
        case "go":
            return _from_go(place)
        case _:
            raise SourceError(f"{text} is neither pymilvus=FOLDER nor go=MODULE")


def _from_go(module: str) -> Source:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.go").write_text(_FROM_GO % module)
        try:
            run("go", "mod", "init", "descriptors", folder=Path(folder))
            run("go", "get", f"{module}@latest", folder=Path(folder))
            run("go", "mod", "tidy", folder=Path(folder))
        except (BuildError, OSError) as error:
            raise SourceError(f"{module}: {error}") from None
        version = _run("go", "list", "-m", "-f", "{{.Version}}", module, folder=folder).decode().strip()
        return source(f"milvus-proto {version}", _run("go", "run", ".", folder=folder))


def _run(*arguments: str, folder: str | None = None) -> bytes:
    done = subprocess.run(arguments, check=False, capture_output=True, cwd=folder)
    if done.returncode != 0:
        raise SourceError(f"{' '.join(arguments)[:100]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def source(name: str, descriptors: bytes) -> Source:
    """Return the methods of a serialized set of files."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptors).file:
        pool.Add(file)
    services = [s for s in pool.FindFileByName(_FILE).services_by_name.values() if s.name not in _NOT_SERVED]
    return Source(name, {f"/{s.full_name}/{method.name}": method for s in services for method in s.methods})


def facts(method: MethodDescriptor) -> dict[str, object]:
    """Return what a descriptor says of the fields of `Rpc`."""
    return {
        "name": method.name,
        "service": method.containing_service.name,
        "stream": _STREAMS[method.client_streaming, method.server_streaming],
        "request": _message(method.input_type.full_name),
        "response": _message(method.output_type.full_name),
        "fields": RequestFields(**{ROLES[f.name]: f.number for f in method.input_type.fields if f.name in ROLES}),
    }


def _message(full_name: str) -> str:
    """Return a message's name, with its package, such as ``common``, only if that is not Milvus's own."""
    return full_name.removeprefix(f"{MILVUS_PACKAGE}.").removeprefix("milvus.proto.")


def compare(rows: Iterable[Rpc], sources: Iterable[Source]) -> list[Difference]:
    """
    Return what the sources have that the rows have not.

    A field is there if any source has it. Where sources disagree, the last one decides.
    """
    seen: dict[str, tuple[str, dict[str, object]]] = {}
    for release in sources:
        for path, method in release.methods.items():
            new = facts(method)
            if path in seen:
                earlier = msgspec.to_builtins(seen[path][1]["fields"])
                new["fields"] = RequestFields(**(earlier | msgspec.to_builtins(new["fields"])))
            seen[path] = release.name, new
    known = {rpc.path: rpc for rpc in rows}
    found: list[Difference] = []
    for path, (source_name, wire) in seen.items():
        row = known.get(path)
        if row is None:
            row = _cautious(wire, source_name)
            what = f"new: {row.service}, {row.stream}, {row.request} -> {row.response}"
            found.append(Difference(row.name, source_name, what, row))
        elif changed := [name for name, value in wire.items() if getattr(row, name) != value]:
            what = "; ".join(f"{name}: {getattr(row, name)} -> {wire[name]}" for name in changed)
            found.append(Difference(row.name, source_name, what, msgspec.structs.replace(row, **wire)))
    return found


def _cautious(wire: dict[str, object], source: str) -> Rpc:
    """Return the row of an rpc that has not been judged: never sent twice, and it may change everything."""
    judgement = {
        "rpc_class": RpcClass.ADMIN_CLUSTER,
        "retry": Retry.UNSENT,
        "changes": Changes.STRUCTURE,
        "scope": Scope.POOL,
        "note": f"{NOT_JUDGED}{source}.",
    }
    return Rpc(**(wire | judgement))  # type: ignore[arg-type]


def render(rows: Iterable[Rpc]) -> bytes:
    """Return the table, one rpc on each line, with a space after each colon and comma."""
    lines = [msgspec.json.format(msgspec.json.encode(row), indent=0) for row in rows]
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def main(arguments: list[str]) -> int:
    """Run the command."""
    write = "--write" in arguments
    texts = [text for text in arguments if text != "--write"]
    if not texts:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        sources = [read_source(text) for text in texts]
    except SourceError as error:
        print(f"catalogue: {error}", file=sys.stderr)
        return 2
    rows = msgspec.json.decode(TABLE.read_bytes(), type=list[Rpc])
    differences = compare(rows, sources)
    for release in sources:
        print(f"{release.name}: {len(release.methods)} rpcs")
    unseen = {row.path for row in rows if row.package == MILVUS_PACKAGE}.difference(*(s.methods for s in sources))
    print(f"in the catalogue and in none of these: {', '.join(sorted(p.rpartition('/')[2] for p in unseen)) or 'none'}")
    waiting = [row.name for row in rows if row.note.startswith(NOT_JUDGED)]
    print(f"not judged yet: {', '.join(waiting) or 'none'}")
    print(f"\n{len(differences)} differences" + ("" if differences else ": the catalogue is up to date."))
    for difference in differences:
        print(f"  {difference.rpc:<32} {difference.source:<44} {difference.what}")
    if write:
        latest = {difference.row.path: difference.row for difference in differences}
        TABLE.write_bytes(render([latest.pop(row.path, row) for row in rows] + list(latest.values())))
        print(
            f"\n{TABLE.relative_to(ROOT)} is written. Judge the new rpcs there, then: python tools/generate_rpc_table.py"
        )
        return 0
    return 1 if differences or waiting else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
