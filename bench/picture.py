"""Bar charts as SVG: a few lines instead of a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.outcome import Bar, Chart

_WIDTH = 720
_LABELS = 120
_BARS = 470
_BAR, _GAP, _HEAD, _MARGIN = 18, 8, 44, 16
_OURS, _OTHERS, _INK, _SOFT = "#0f6fb5", "#a9b4c0", "#1d2733", "#5b6875"
_STYLE = f"text{{font:13px system-ui,sans-serif;fill:{_INK}}}.title{{font-weight:600}}.soft{{fill:{_SOFT}}}"


def svg(charts: Sequence[Chart]) -> str:
    """Draw the charts below each other, each on its own scale that begins at 0."""
    parts: list[str] = []
    top = _MARGIN
    for chart in charts:
        parts.append(f'<text class="title" x="{_MARGIN}" y="{top + 14}">{escape(chart.title)}</text>')
        parts.append(f'<text class="soft" x="{_MARGIN}" y="{top + 32}">{escape(chart.unit)}, less is better</text>')
        top += _HEAD
        longest = max((max(bar.value, bar.high) for bar in chart.bars), default=0.0) or 1.0
        for bar in chart.bars:
            parts += _bar(bar, top, _BARS / longest)
            top += _BAR + _GAP
        top += _MARGIN
    height = top + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    left, middle = _MARGIN + _LABELS, top + _BAR / 2
    low, high = left + bar.low * scale, left + bar.high * scale
    colour = _OURS if bar.ours else _OTHERS
    whisker = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
    return [
        f'<text x="{left - 10}" y="{middle + 4.5}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{left}" y="{top}" width="{bar.value * scale:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>',
        f'<path d="{whisker}" stroke="{_INK}" fill="none"/>',
        f'<text x="{max(left + bar.value * scale, high) + 8:.1f}" y="{middle + 4.5}">{bar.value:.1f}</text>',
    ]
