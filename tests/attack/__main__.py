"""
``python -m tests.attack [--list] [--seed N] [--mutations N] [--twice] [--cache] [ATTACK...]``: the table of attacks.

An attack is chosen by a part of its name; without any, all are done. Exit status: 0 every attack was held, 1 one was not,
2 usage.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent import futures

from rich.console import Console

from tests.attack import (
    amplified,
    folders,
    hanging,
    http2,
    local,
    management,
    many,
    mutations,
    opened,
    pings,
    ports,
    rejected,
    report,
)
from tests.attack.attack import Attack, Seen
from tests.attack.world import CACHE_VARIABLE

ATTACKS: tuple[Attack, ...] = (
    *rejected.ATTACKS,
    *amplified.ATTACKS,
    *many.ATTACKS,
    *hanging.ATTACKS,
    *opened.ATTACKS,
    *http2.ATTACKS,
    *management.ATTACKS,
    *ports.ATTACKS,
    *local.ATTACKS,
    *folders.ATTACKS,
    *pings.ATTACKS,
)


def main() -> int:
    """Run the attacks and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    parser.add_argument("--list", action="store_true", help="name the attacks and do none")
    parser.add_argument("attack", nargs="*", help="a part of an attack's name, or a part of the table (A to G)")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the random mutations; printed, to find a fault again"
    )
    parser.add_argument("--mutations", type=int, default=mutations.COUNT, help="how many random mutations")
    parser.add_argument("--twice", action="store_true", help="try what was not held once more; the second time counts")
    parser.add_argument("--cache", action="store_true", help="with the victim's cache on, which answers its calls")
    options = parser.parse_args()
    os.environ[CACHE_VARIABLE] = "1" if options.cache else ""
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    known = (*ATTACKS, mutations.attack(seed, options.mutations, report.RESULTS / "mutations.json"))
    console = Console(width=None if sys.stdout.isatty() else 200)
    chosen = [a for a in known if not options.attack or any(_meant(t, a) for t in options.attack)]
    if not chosen:
        parser.error("no attack has such a name; --list shows them")
    if options.list:
        for attack in chosen:
            console.print(f"{attack.part}  {attack.name}", markup=False, highlight=False)
        return 0
    say = functools.partial(console.print, markup=False, highlight=False)
    results = _all(chosen, say)
    failed = [attack for attack, seen in results if seen.faults]
    if options.twice and failed:
        say("once more, without the rest beside them:")
        again = {attack.name: (attack, seen) for attack, seen in _all(failed, say)}
        results = [again.get(attack.name, (attack, seen)) for attack, seen in results]
    console.print(report.table(results))
    console.print(f"written to {report.write(results)}")
    return 1 if any(seen.faults for _, seen in results) else 0


def _meant(text: str, attack: Attack) -> bool:
    return text in attack.part if len(text) == 1 else text in attack.name


def _all(chosen: Sequence[Attack], say: Callable[[str], None]) -> list[tuple[Attack, Seen]]:
    """Do them one after the other, those of the background beside them; return what was seen, in the same order."""
    with futures.ThreadPoolExecutor(max_workers=max(1, len(chosen))) as background:
        begun = {attack.name: background.submit(_run, attack) for attack in chosen if attack.background}
        results = []
        for number, attack in enumerate(sorted(chosen, key=lambda attack: attack.background), 1):
            begin = time.monotonic()
            seen = begun[attack.name].result() if attack.background else _run(attack)
            say(f"{number}/{len(chosen)} {attack.name}: {time.monotonic() - begin:.0f} s")
            for text in seen.faults:
                say(f"    {text}")
            results.append((attack, seen))
    order = {attack.name: number for number, attack in enumerate(chosen)}
    return sorted(results, key=lambda result: order[result[0].name])


def _run(attack: Attack) -> Seen:
    try:
        return attack.run()
    except (AssertionError, OSError) as error:
        # One that cannot be tried is not held; the others are tried all the same.
        return Seen(broken=[f"{type(error).__name__}: {error}"])


if __name__ == "__main__":
    sys.exit(main())
