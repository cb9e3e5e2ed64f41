"""Envoy's own answers."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import FilterConfig, Route
from kiteway._proto.envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from kiteway._proto.envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import (
    DynamicModuleFilter,
    DynamicModuleFilterPerRoute,
)
from kiteway.envoy.filter_config import RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import (
    _CALL_FIELD,
    _FIELDS,
    access_logs,
    add_log_rate_without_filter,
    log_rate_for_filter,
)
from kiteway.envoy.xds.filters import grpc_filters, turn_on
from kiteway.envoy.xds.local_replies import LOCAL_REPLIES, NO_HEALTHY_ENDPOINT, REFUSALS, LocalReply, local_replies
from kiteway.envoy.xds.policy import grpc_policies, repeatable_paths, rest_policies, retry_policy
from kiteway.milvus.catalogue import RpcClass, catalogue
from kiteway.probe.own import NO_ENDPOINT

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
# pymilvus/decorators.py: IGNORE_RETRY_CODES.
NOT_REPEATED = {
    "DEADLINE_EXCEEDED",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "INVALID_ARGUMENT",
    "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
}


@pytest.mark.parametrize("reply", LOCAL_REPLIES, ids=lambda reply: reply.text[:30])
def test_a_status_that_pymilvus_repeats_is_safe_to_repeat(reply: LocalReply) -> None:
    """A call that may have been done gets a status on which PyMilvus does not send it again."""
    broken = {"UC", "UR", "LR", "UPE"} & set(reply.flags)
    if broken and not reply.once:
        assert LOCAL_REPLIES.index(reply) > next(i for i, r in enumerate(LOCAL_REPLIES) if r.once)
    elif "nothing was sent" not in reply.text:
        assert CODES[reply.grpc] in NOT_REPEATED


def test_the_reference_lists_every_answer() -> None:
    """``docs/reference/errors.md`` has each sentence with its statuses and flags, and no other."""
    section = (REFERENCE / "errors.md").read_text().split("## The call could not be served")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d+) \| (.+?) \| ([A-Z ]+) \|", section, re.MULTILINE)
    assert rows == [(CODES[r.grpc], str(r.http), r.text, " ".join(r.flags)) for r in LOCAL_REPLIES]


def test_the_probes_know_the_answer_without_an_endpoint() -> None:
    """`verify` gives a Milvus that starts its whole time, by the beginning of this sentence."""
    assert NO_HEALTHY_ENDPOINT.startswith(NO_ENDPOINT)


def test_the_reference_lists_every_refusal() -> None:
    """It has the sentence of each request that Envoy refuses, with statuses that PyMilvus does not repeat."""
    section = (REFERENCE / "errors.md").read_text().split("## The request is refused")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d+) \| (.+?) \|$", section, re.MULTILINE)
    assert rows == [(CODES[r.grpc], str(r.http), r.text) for r in REFUSALS]
    assert {CODES[r.grpc] for r in REFUSALS} <= NOT_REPEATED


def test_the_reference_lists_every_field_of_the_access_log() -> None:
    """``docs/reference/access-log.md`` has each field in the order of the log's definition."""
    page, _, _ = (REFERENCE / "access-log.md").read_text().partition("## What a call asks for")
    fields = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert fields == [*_FIELDS, *_CALL_FIELD]


def test_rest_gets_no_grpc_status() -> None:
    """Only the mapper for gRPC's content type adds the header."""
    for mapper in local_replies().mappers:
        headers = [f.header_filter.header for f in mapper.filter.and_filter.filters if f.HasField("header_filter")]
        for_grpc = any(h.name == "content-type" and not h.invert_match for h in headers)
        assert for_grpc == bool(mapper.headers_to_add)


def test_only_reads_are_repeatable() -> None:
    """The repeatable paths are those that the catalogue calls safe, and REST calls that only read."""
    grpc, rest = repeatable_paths(grpc_policies()), repeatable_paths(rest_policies())
    for rpc in catalogue():
        repeatable = re.fullmatch(grpc, rpc.path) is not None
        assert repeatable == (not rpc.streaming and (rpc.retry_safe or rpc.rpc_class is RpcClass.READ))
    for path in ["/v1/vector/insert", "/v2/vectordb/entities/delete", "/v2/vectordb/collections/drop", "/"]:
        assert re.fullmatch(f"{grpc}|{rest}", path) is None
    assert re.fullmatch(rest, "/v1/vector/search?x=1")


def test_every_call_has_one_policy() -> None:
    """The last policy matches all remaining calls, and no rpc matches two of the others."""
    for policies in (grpc_policies(), rest_policies()):
        *classes, last = policies
        assert last.regex is None
        assert all(policy.regex for policy in classes)
    for rpc in catalogue():
        matching = [p.name for p in grpc_policies() if p.regex and re.fullmatch(p.regex, rpc.path)]
        assert len(matching) <= 1


def test_a_write_is_never_sent_again_after_it_was_begun() -> None:
    """
    A policy for unsafe calls has no retry condition under which an endpoint may have begun a call: nothing was sent, or a
    proxy that still starts refused it.
    """
    once = {"connect-failure", "refused-stream", "reset-before-request", "retriable-headers"}
    refused = {("grpc-message", "Milvus Proxy is not ready yet"), ("kiteway-in-band", "starting")}
    for policy in (*grpc_policies(), *rest_policies()):
        safe = policy.name.removeprefix("rest-") in {"read", "session", "describe", "meta-read"}
        assert (set(policy.retry_on.split(",")) <= once) == (not safe)
        headers = retry_policy(policy).retriable_headers
        assert {(h.name, h.string_match.contains or h.string_match.exact) for h in headers} <= refused


@pytest.mark.parametrize(
    ("rate", "below"), [(0.0, ""), (0.5, "80000000"), (1.0, "g"), (2**-32, "00000001"), (1e-12, ""), (1 - 1e-12, "g")]
)
def test_the_rate_is_a_bound_of_request_ids(rate: float, below: str) -> None:
    """Request ids begin with eight random hexadecimal digits; those below the bound are logged."""
    route = Route()
    add_log_rate_without_filter(route, rate, EnvoySettings())
    assert route.metadata.filter_metadata["kiteway"]["log_below"] == below
    assert (below > "ffffffff-0000") == (rate > 1 - 1e-9)
    assert (below > "00000000-0000") == (rate > 1e-10)


@pytest.mark.parametrize(("rate", "said"), [(0.0, "0.0"), (0.25, "0.25"), (1.0, None)])
def test_the_filter_gets_a_rate_below_one(rate: float, said: str | None) -> None:
    """Routes that are not always logged have a rate for the filter; the others have none, which costs nothing."""
    route, settings = Route(), EnvoySettings(filter_path=Path("/filter.so"))
    add_log_rate_without_filter(route, rate, settings)
    turn_on(route, settings, RouteConfig(log_rate=log_rate_for_filter(rate)))
    assert not route.HasField("metadata")
    if said is None:
        assert route.typed_per_filter_config["kiteway"].Unpack(FilterConfig())
    else:
        config = DynamicModuleFilterPerRoute()
        route.typed_per_filter_config["kiteway"].Unpack(config)
        value = StringValue()
        config.filter_config.Unpack(value)
        assert value.value == f'{{"log_rate":{said}}}'


def test_no_file_no_log() -> None:
    """Without a file there is no access log at all."""
    assert access_logs(EnvoySettings()) == []
    assert len(access_logs(EnvoySettings(access_log=Path("/log")))) == 1


@pytest.mark.parametrize(
    ("log", "log_calls", "said"),
    [
        (Path("/log"), True, '{"mode":"upstream","log":true}'),
        (Path("/log"), False, '{"mode":"upstream"}'),
        (None, True, '{"mode":"upstream"}'),
    ],
)
def test_calls_are_read_only_for_a_log_that_is_to_have_them(log: Path | None, *, log_calls: bool, said: str) -> None:
    """Without a log, or without --log-calls, messages are not read, and the lines have no field for them."""
    settings = EnvoySettings(filter_path=Path("/filter.so"), access_log=log, log_calls=log_calls)
    config, value = DynamicModuleFilter(), StringValue()
    grpc_filters(settings, "pool/a/b/1/grpc")[0].typed_config.Unpack(config)
    config.filter_config.Unpack(value)
    assert value.value == said
    file = FileAccessLog()
    for each in access_logs(settings):
        each.typed_config.Unpack(file)
    assert ("call" in file.log_format.json_format) == (log is not None and log_calls)
