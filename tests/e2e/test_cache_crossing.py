"""No client gets another one's answer: random reads of many clients, each answered with what it was asked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from kiteway import filter as kiteway_filter
from tests.e2e.admission import until
from tests.e2e.cached import BOUNDED, CUSTOMIZED, EVENTUALLY, STRONG, Client, Milvus, behind, hybrid, identity, question

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

SECONDS = 12
CLIENTS = 8


def test_no_answer_crosses_users_databases_collections_or_questions(tmp_path: Path) -> None:
    """Thousands of reads, hits and joined ones among them, while others change something and give up."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy:
        did: Counter[str] = Counter()
        wrong: list[str] = []
        end = time.monotonic() + SECONDS

        def read(seed: int) -> None:
            source = random.Random(seed)
            metadata = {"authorization": source.choice("ab"), "x-tenant": source.choice(["", "t"])}
            if source.random() < 0.5:
                metadata["dbname"] = source.choice("cd")
            with Client(envoy, **metadata) as client:
                while time.monotonic() < end:
                    request = random_question(source)
                    call: Any = client.start(request)
                    if source.random() < 0.02:
                        call.cancel()
                        continue
                    answer = milvus_pb2.SearchResults.FromString(call.result())
                    what = dict(call.initial_metadata())["kiteway-cache"].partition(";")[0]
                    did[what] += 1
                    if answer.collection_name != identity(metadata, request):
                        wrong.append(what)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        with Client(envoy) as changer:
            while time.monotonic() < end:
                time.sleep(3)
                changer.call("DropCollection")
        for thread in threads:
            thread.join()

        assert not wrong
        assert sum(did.values()) > 1000
        assert min(did[what] for what in ("hit", "miss", "bypass")) > 100, did
        until(lambda: milvus.calls["AllocTimestamp"] > SECONDS)


def random_question(source: random.Random) -> bytes:
    """Return one of a few questions, at a random level."""
    level = source.choice([BOUNDED, EVENTUALLY, CUSTOMIZED, STRONG, None])
    consistency = {} if level is None else {"consistency_level": level}
    if level in {CUSTOMIZED, BOUNDED} and source.random() < 0.5:
        consistency["guarantee_timestamp"] = hybrid(time.time() - source.random() * 10)
    pairs = {"topk": str(source.choice([10, 11])), "metric_type": "L2"}
    parameters = [common_pb2.KeyValuePair(key=key, value=value) for key, value in pairs.items()]
    return question(
        source.choice(["books", "films"]), source.choice([b"v", b"w"]), search_params=parameters, **consistency
    )
