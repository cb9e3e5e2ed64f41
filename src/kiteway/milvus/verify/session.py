"""The guide's example with PyMilvus, step by step. Blocking: every call has a timeout."""

import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from kiteway.milvus.verify.errors import NOTHING_DONE, grpc_status
from kiteway.milvus.verify.target import Target
from kiteway.probe.result import join_host_port

DIMENSION = 8
ROWS = 200
_ASKED = 17
"""The row whose own vector is searched: it is the nearest to itself."""
_DELETED = (3, 5)
_SEED = 20230817
CONNECT_LIMIT = 10.0
"""Seconds for one connect: PyMilvus's own default."""


class WrongAnswerError(Exception):
    """Milvus gave a wrong answer; the text is one sentence without a full stop."""


class Session:
    """One run: a connection with each of PyMilvus's two APIs (ORM and MilvusClient), and its own collection."""

    def __init__(self, pymilvus: Any, target: Target) -> None:
        self._pymilvus = pymilvus
        self._target = target
        self._client: Any = None
        token = secrets.token_hex(4)
        self.collection = f"kiteway_verify_{int(time.time())}_{token}"
        self._alias = f"kiteway-verify-{token}"
        self.may_exist = False
        """The collection may exist: creating it was tried, dropping it has not succeeded."""
        self.connect_limit = CONNECT_LIMIT
        """Seconds for each of the two connects."""
        self.connect_answered = False
        """A probe saw that this server answers Milvus's Connect."""
        self.milvus_version: str | None = None
        rng = random.Random(_SEED)  # noqa: S311 - test data
        self.vectors = [[rng.uniform(-1, 1) for _ in range(DIMENSION)] for _ in range(ROWS)]

    @property
    def steps(self) -> tuple[tuple[str, Callable[[float], str]], ...]:
        """Name and call of each step, in order; a call takes seconds and returns a detail."""
        return (
            ("connect-orm", self.connect_orm),
            ("connect-client", self.connect_client),
            ("create", self.create),
            ("insert", self.insert),
            ("flush", self.flush),
            ("index", self.index),
            ("load", self.load),
            ("search", self.search),
            ("query", self.query),
            ("delete", self.delete),
            ("drop", self.drop),
        )

    def connect_orm(self, timeout: float) -> str:
        """Connect with ``connections.connect``, as the guide does."""
        timeout = min(timeout, self.connect_limit)
        self._pymilvus.connections.connect(
            self._alias,
            host=self._target.host,
            port=str(self._target.port),
            secure=self._target.secure,
            token=self._target.token or "",
            timeout=timeout,
            **self._tls_arguments(),
        )
        self.milvus_version = self._version(
            lambda: self._pymilvus.utility.get_server_version(using=self._alias, timeout=timeout)
        )
        return f"connections.connect: {self._milvus()}"

    def connect_client(self, timeout: float) -> str:
        """Connect with MilvusClient."""
        timeout = min(timeout, self.connect_limit)
        scheme = "https" if self._target.secure else "http"
        uri = f"{scheme}://{join_host_port(self._target.host, self._target.port)}"
        self._client = self._pymilvus.MilvusClient(
            uri=uri,
            token=self._target.token or "",
            timeout=timeout,
            # PyMilvus would share a connection of the same address and token, whatever its TLS settings.
            dedicated=True,
            **self._tls_arguments(),
        )
        self.milvus_version = self._version(lambda: self._client.get_server_version(timeout=timeout))
        return f"MilvusClient: {self._milvus()}"

    def _version(self, ask: Callable[[], object]) -> str | None:
        """Return the version; None from a server that has Connect but not GetVersion, such as Milvus Lite 2."""
        try:
            return str(ask())
        except Exception as error:
            status = grpc_status(error)
            if self.connect_answered and status is not None and status[0] == "UNIMPLEMENTED":
                return None
            raise

    def _milvus(self) -> str:
        return "a Milvus without GetVersion" if self.milvus_version is None else f"Milvus {self.milvus_version}"

    def _tls_arguments(self) -> dict[str, str]:
        target = self._target
        arguments = {}
        if target.server_name:
            arguments["server_name"] = target.server_name
        if target.client_cert and target.client_key and target.ca:
            arguments["client_pem_path"] = str(target.client_cert)
            arguments["client_key_path"] = str(target.client_key)
            arguments["ca_pem_path"] = str(target.ca)
        elif target.ca:
            arguments["server_pem_path"] = str(target.ca)
        return arguments

    def create(self, timeout: float) -> str:
        """Create a collection of this run's own."""
        data_type = self._pymilvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", data_type.INT64, is_primary=True)
        schema.add_field("vector", data_type.FLOAT_VECTOR, dim=DIMENSION)
        self.may_exist = True
        try:
            self._client.create_collection(self.collection, schema=schema, timeout=timeout)
        except Exception as error:
            status = grpc_status(error)
            self.may_exist = status is None or status[0] not in NOTHING_DONE
            raise
        return self.collection

    def insert(self, timeout: float) -> str:
        """Insert rows with known vectors."""
        rows = [{"id": number, "vector": vector} for number, vector in enumerate(self.vectors)]
        answer = self._client.insert(self.collection, rows, timeout=timeout)
        if answer["insert_count"] != ROWS:
            msg = f"insert took {answer['insert_count']} of {ROWS} rows"
            raise WrongAnswerError(msg)
        return f"{ROWS} rows of dimension {DIMENSION}"

    def flush(self, timeout: float) -> str:
        """Flush to storage."""
        self._client.flush(self.collection, timeout=timeout)
        return "sealed"

    def index(self, timeout: float) -> str:
        """Create an exact index, so that the nearest neighbour is certain."""
        parameters = self._client.prepare_index_params()
        parameters.add_index("vector", index_type="FLAT", metric_type="L2")
        self._client.create_index(self.collection, parameters, timeout=timeout)
        return "FLAT, L2"

    def load(self, timeout: float) -> str:
        """Load the collection into memory."""
        self._client.load_collection(self.collection, timeout=timeout)
        return "loaded"

    def search(self, timeout: float) -> str:
        """Check that a search for a row's own vector returns that row first, at distance 0."""
        hits = self._client.search(
            self.collection,
            data=[self.vectors[_ASKED]],
            limit=5,
            anns_field="vector",
            consistency_level="Strong",
            timeout=timeout,
        )[0]
        found = [hit["id"] for hit in hits]
        if not found or found[0] != _ASKED:
            msg = f"search returned {found} for the vector of row {_ASKED}, which must come first"
            raise WrongAnswerError(msg)
        return f"nearest of {ROWS} found: id {_ASKED}, distance {hits[0]['distance']:g}"

    def query(self, timeout: float) -> str:
        """Query by primary key."""
        found = self._ids([*_DELETED, _ASKED], timeout)
        if found != sorted([*_DELETED, _ASKED]):
            msg = f"query returned rows {found} for {sorted([*_DELETED, _ASKED])}"
            raise WrongAnswerError(msg)
        return f"{len(found)} rows by id"

    def delete(self, timeout: float) -> str:
        """Check that a Strong read no longer returns deleted rows."""
        self._client.delete(self.collection, ids=list(_DELETED), timeout=timeout)
        found = self._ids(list(_DELETED), timeout)
        if found:
            msg = f"query still returned rows {found} after their delete"
            raise WrongAnswerError(msg)
        return f"{len(_DELETED)} rows gone"

    def drop(self, timeout: float) -> str:
        """Drop the collection."""
        self._client.drop_collection(self.collection, timeout=timeout)
        self.may_exist = False
        return "dropped"

    def close(self) -> None:
        """Close both connections."""
        self._pymilvus.connections.remove_connection(self._alias)
        if self._client is not None:
            self._client.close()

    def _ids(self, wanted: list[int], timeout: float) -> list[int]:
        rows = self._client.query(
            self.collection,
            filter=f"id in {wanted}",
            output_fields=["id"],
            consistency_level="Strong",
            timeout=timeout,
        )
        return sorted(int(row["id"]) for row in rows)
