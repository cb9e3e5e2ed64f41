"""The cache of a pool as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.report.caches import CacheCounts, CacheReport


def cache_lines(cache: CacheReport) -> Iterator[str]:
    """Yield the lines about a cache; none if no policy turns it on."""
    if not cache.on:
        if cache.policy is not None:
            yield f"cache off although {cache.policy} turns it on: {cache.why}"
        return
    if cache.counts is None:
        yield "cache on"
        return
    yield from _counted(cache.counts, cache.memory or 0)


def _counted(counts: CacheCounts, memory: int) -> Iterator[str]:
    share = "no read yet" if counts.share is None else f"answers {100 * counts.share:.0f} % of {counts.reads} reads"
    answered = (
        f" ({counts.hit} hits, {counts.joined} joined, which are not among the calls above)"
        if counts.hit or counts.joined
        else ""
    )
    closed = ", closed for a moment" if counts.closed else ""
    yield f"cache on: {share}{answered}; {counts.entries} answers, {counts.bytes} of {memory} bytes{closed}"
    if counts.bypass:
        yield f"  not answered from it: {', '.join(f'{reason} {count}' for reason, count in counts.bypass.items())}"
    if counts.headers:
        yield f"  headers that keep answers apart: {', '.join(counts.headers)}"
