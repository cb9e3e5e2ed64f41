"""The calls that the bench makes of each kind, and what it takes for an answer."""

from __future__ import annotations

import pytest
from pymilvus.grpc_gen import milvus_pb2

from bench import kinds
from bench.backends import LIMIT, Request, constant_answers
from bench.outcome import BenchError

ANSWERS = {**constant_answers(LIMIT), **kinds.answers()}


def name(request: Request) -> str:
    """Return the rpc of a request."""
    return request.path.rpartition("/")[2]


@pytest.mark.parametrize("request_", kinds.kinds(), ids=name)
def test_each_kind_takes_the_answer_of_the_backend_and_no_other(request_: Request) -> None:
    """The backend's answer passes; an empty one, and one of another call, do not."""
    request_.check(ANSWERS[name(request_)])
    for wrong in (b"", ANSWERS["AllocTimestamp"]):
        with pytest.raises(BenchError):
            request_.check(wrong)


@pytest.mark.parametrize("request_", kinds.kinds()[2:], ids=name)
def test_an_error_of_milvus_is_no_answer(request_: Request) -> None:
    """Milvus reports errors in an answer, which h2load counts as a success."""
    failed = milvus_pb2.MutationResult()
    failed.status.code, failed.status.reason = 8, "rate limit exceeded"
    with pytest.raises(BenchError, match="rate limit"):
        request_.check(failed.SerializeToString())


def test_the_requests_name_the_collection() -> None:
    """All but GetVersion name the collection, as an application's calls do."""
    assert [name(each) for each in kinds.kinds() if b"bench" not in each.message] == ["GetVersion"]
