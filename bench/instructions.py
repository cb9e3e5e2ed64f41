"""
The cost of a call in instructions of Envoy in user space, counted by callgrind.

Unlike CPU time they are the same on a busy machine, within 1 %. There is one worker; the load is that of the
pass-through bench.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from bench.backends import Request, get_version, search, server_certificate, trivial_backend
from bench.balancers import CAREFUL, CONTESTANTS, HOST, Contestant, Running, Setting
from bench.cpu import tree
from bench.grpc_check import wait_until_it_serves
from bench.load import CONNECTIONS, STREAMS, Call, h2load
from bench.outcome import BenchError, Context, Outcome, Table
from bench.processes import tail
from kiteway.envoy.binary import find_envoy

_CALLS = 2000
_WARM_UP_CALLS = 300
_START_SECONDS = 180.0
_TITLE = "Instructions"
_TEXT = (
    f"Instructions of Envoy in user space for one call, in thousands, over {_CALLS:,} calls: one worker, {STREAMS} calls "
    f"at a time on each of {CONNECTIONS} connections, TLS and HTTP/2 on both sides. The kernel's share is not among them."
)
_WRAPPER = """\
#!/bin/sh
# Only what serves is counted, and with one worker, so that every call takes the same way.
case " $* " in *" --version "* | *" --mode validate "*) exec "{envoy}" "$@" ;; esac
case " $* " in *" --concurrency "*) ;; *) set -- "$@" --concurrency 1 ;; esac
exec valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="{output}" "{envoy}" "$@"
"""
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


async def run(context: Context) -> Outcome:
    """Count for Kiteway and Envoy."""
    wanted = [each for each in CONTESTANTS if each.ours or each.name in {each.baseline, CAREFUL}]
    needed = {"valgrind": shutil.which("valgrind"), "nghttpd": context.programs.get("nghttpd")}
    if missing := [name for name, found in needed.items() if not found]:
        sentence = f"Instructions: there is no {' and no '.join(missing)} on this machine."
        return Outcome(_TITLE, (_TEXT,), (), (), {}, (sentence,))
    certificate, key = server_certificate(context.work)
    counts: dict[str, dict[str, float]] = {}
    with trivial_backend(context.programs["nghttpd"], context.work, certificate, key) as backend:
        setting = Setting(context.work, context.programs, backend, certificate, key, workers=1)
        for name, request in (("GetVersion", get_version()), ("Search", search(1))):
            counts[name] = {each.name: _count(context, each, request, setting) for each in wanted}
    tables = [_table(name, found, wanted) for name, found in counts.items()]
    return Outcome(_TITLE, (_TEXT,), tables, (), counts)


def _table(name: str, found: Mapping[str, float], contestants: Sequence[Contestant]) -> Table:
    rows = [
        (each.name, f"{found[each.name] / 1000:.0f}", f"{found[each.baseline] / found[each.name]:.2f}")
        for each in contestants
    ]
    return Table(f"{_TITLE}, {name}", ("", "thousands a call", "of Envoy"), rows)


def _count(context: Context, contestant: Contestant, request: Request, setting: Setting) -> float:
    """Return the instructions for a call."""
    name = request.path.rpartition("/")[2]
    context.say(f"counting {name}, {contestant.name}")
    work = context.work / name / contestant.name.replace(" ", "-")
    work.mkdir(parents=True)
    output, wrapper = work / "callgrind.out", work / "envoy"
    wrapper.write_text(_WRAPPER.format(envoy=find_envoy(), output=output))
    wrapper.chmod(0o700)
    with contestant.run(dataclasses.replace(setting, work=work, envoy=wrapper)) as running:
        try:
            wait_until_it_serves(
                HOST, running.port, request.path, request.message, seconds=_START_SECONDS, ended=running.ended
            )
        except BenchError as error:
            raise BenchError(f"{contestant.name}: {error}. The end of its log:\n{tail(running.log)}") from error
        _call(context, running, request, _WARM_UP_CALLS)
        envoy = _callgrind(running)
        _control(envoy, "--instr=on")
        _call(context, running, request, _CALLS)
        _control(envoy, "--instr=off")
        _control(envoy, "--dump")
    counts = [int(total) for dump in work.glob(f"{output.name}*") for total in _TOTAL.findall(dump.read_text())]
    if not any(counts):
        raise BenchError(f"{contestant.name}: callgrind has counted nothing")
    return max(counts) / _CALLS


def _call(context: Context, running: Running, request: Request, calls: int) -> None:
    body = context.work / "request.grpc"
    body.write_bytes(request.frame())
    call = Call(request.path, body, connections=CONNECTIONS, streams=STREAMS)
    log = context.work / "h2load.log"
    h2load(context.programs["h2load"], call, host=HOST, port=running.port, calls=calls, log=log)


def _callgrind(running: Running) -> int:
    names = tree(running.process.pid) if running.process is not None else {}
    return next(pid for pid, name in names.items() if name.startswith("callgrind"))


def _control(pid: int, command: str) -> None:
    program = shutil.which("callgrind_control") or "callgrind_control"
    done = subprocess.run([program, command, str(pid)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"callgrind_control {command}: {done.stderr.strip() or done.stdout.strip()}")
