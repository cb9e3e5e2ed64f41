"""The parts of the bench that determine the figures."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from bench.balancers import BASELINE, CONTESTANTS, LOGGING_BASELINE
from bench.collection import DIMENSION, Questions
from bench.cpu import CpuMeter, cpu_seconds, tree
from bench.load import Call, Load, h2load
from bench.metrics import total
from bench.outcome import Bar, BenchError, Chart
from bench.passthrough import Block, over_all
from bench.picture import svg
from bench.stats import median_with_interval, quantile

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and Linux's CPU clocks")


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    """The interval contains the median and never exceeds the measured values."""
    estimate = median_with_interval(values)
    assert min(values) <= estimate.low <= estimate.median <= estimate.high <= max(values)


def test_more_measurements_make_the_interval_narrower() -> None:
    """Sixty-four rounds with the same spread give a narrower interval than four."""
    few, many = (median_with_interval([0.9, 1.0, 1.1, 1.2] * times) for times in (1, 16))
    assert many.high - many.low < few.high - few.low


def test_all_kinds_of_calls_count_alike() -> None:
    """
    Half the cost for one kind of call and twice for another average to the same cost; contestants that log
    are compared.
    """
    load = Load(1.0, 1.0, 1.0, 1.0)

    def measured(of_kiteway: float) -> dict[str, Block]:
        cpu = {BASELINE: 9.0, LOGGING_BASELINE: 4.0, "Kiteway": of_kiteway}
        return {name: Block(1, load, seconds, seconds) for name, seconds in cpu.items()}

    kiteway = next(each for each in CONTESTANTS if each.name == "Kiteway")
    kinds = [[measured(2.0)] * 3, [measured(8.0)] * 3]
    assert over_all(kinds, kiteway).median == pytest.approx(1.0)
    assert over_all(kinds[:1], kiteway).median == pytest.approx(2.0)


def test_quantiles_are_values_that_occur() -> None:
    """The 99th percentile of 1 to 100 is 99, the ends are the ends."""
    values = [float(value) for value in range(1, 101)]
    assert [quantile(values, fraction) for fraction in (0, 0.99, 1)] == [1, 99, 100]


@linux
def test_cpu_time_excludes_waiting() -> None:
    """A process that computes uses CPU time, an idle one does not, and time before the measurement does not count."""
    busy = (
        "import time\nend = time.process_time() + 0.3\n"
        "while time.process_time() < end: pass\nprint('done', flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            meter, waiting = CpuMeter([worker.pid]), CpuMeter([idle.pid])
            assert worker.stdout.readline() == b"done\n"
            assert meter.seconds() > 0.25
            assert waiting.seconds() < meter.seconds()
            assert CpuMeter([os.getpid()]).seconds() < cpu_seconds(os.getpid()) / 2
            assert {idle.pid, worker.pid} <= tree(os.getpid()).keys()
            worker.communicate(b"\n")
        idle.communicate(b"\n")


@linux
def test_cpu_time_of_an_ended_process_is_an_error() -> None:
    """A process that ends during the measurement would be missing from the sum, so it is an error."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        meter = CpuMeter([process.pid])
        process.communicate(b"\n")
    with pytest.raises(ProcessLookupError, match=str(process.pid)):
        meter.seconds()


_OUTPUT = """\
finished in 345.36ms, 115822.18 req/s, 6.52MB/s
requests: 4 total, 4 started, 4 done, {good} succeeded, {bad} failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.25MB (2360636) total, 430.12KB (440444) headers (space savings 93.60%), 781.25KB (80) data
"""


def _fake_h2load(folder: Path, good: int) -> Path:
    """Make a program that prints what h2load prints and logs four calls of 100 to 400 µs."""
    program = folder / "h2load"
    log = "".join(f"179541714894733{i}\t200\t{i}00\n" for i in range(1, 5))
    program.write_text(
        "#!/bin/sh\nfor argument; do case $argument in --log-file=*) log=${argument#*=};; esac; done\n"
        f"cat > \"$log\" <<'END'\n{log}END\ncat <<'END'\n{_OUTPUT.format(good=good, bad=4 - good)}END\n"
    )
    program.chmod(0o755)
    return program


def test_the_load_is_read_from_h2load(tmp_path: Path) -> None:
    """Seconds, bytes for an answer and the quantiles of the calls come out of h2load's own figures."""
    call = Call("/a.B/C", tmp_path / "body", 1, 1)
    load = h2load(_fake_h2load(tmp_path, 4), call, host="a", port=1, calls=4, log=tmp_path / "log")
    assert load.seconds == pytest.approx(0.34536)
    assert (load.answer_bytes, load.p50, load.p99) == (20, 300, 400)


def test_a_failed_request_is_an_error(tmp_path: Path) -> None:
    """A block with a failed request is not a measurement."""
    call = Call("/a.B/C", tmp_path / "body", 1, 1)
    with pytest.raises(BenchError, match=r"not every call succeeded: .*3 succeeded, 1 failed"):
        h2load(_fake_h2load(tmp_path, 3), call, host="a", port=1, calls=4, log=tmp_path / "log")


def test_the_picture_is_xml_with_bars_in_proportion() -> None:
    """Names are escaped and a bar of twice the value is twice as long."""
    bars = [Bar("a <b>", 10, 9, 11, ours=True), Bar("c", 20, 19, 21, ours=False)]
    root = ET.fromstring(svg([Chart("X & Y", "µs", bars)]))  # noqa: S314 - our own text
    name = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{name}text")]
    assert {"X & Y", "a <b>", "c"} <= set(texts)
    widths = [float(element.attrib["width"]) for element in root.findall(f"{name}rect") if "rx" in element.attrib]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)


def test_time_is_read_in_all_units(tmp_path: Path) -> None:
    """H2load writes short runs in milliseconds and longer ones in seconds."""
    program = _fake_h2load(tmp_path, 4)
    program.write_text(program.read_text().replace("345.36ms", "2.50s"))
    call = Call("/a.B/C", tmp_path / "body", 1, 1)
    load = h2load(program, call, host="a", port=1, calls=4, log=tmp_path / "log")
    assert load.seconds == 2.5


def test_series_are_summed_by_name_and_labels() -> None:
    """Only the series with the name and all labels count."""
    page = {
        'calls{rpc="Search",pool="a"}': 2.0,
        'calls{rpc="Search",pool="b"}': 3.0,
        'calls{rpc="Query"}': 5.0,
        "callsmore": 7.0,
    }
    assert total(page, "calls", 'rpc="Search"') == 5
    assert total(page, "calls") == 10


def test_questions_differ_in_their_vector_only() -> None:
    """Each is the same search at the collection's level, for another vector."""
    questions = Questions(10)
    one, other = (milvus_pb2.SearchRequest.FromString(questions[number]) for number in (1, 2))
    assert one.use_default_consistency
    assert one.placeholder_group != other.placeholder_group
    for each in (one, other):
        group = common_pb2.PlaceholderGroup.FromString(each.placeholder_group)
        assert [len(value) for value in group.placeholders[0].values] == [4 * DIMENSION]
        each.ClearField("placeholder_group")
    assert one == other
