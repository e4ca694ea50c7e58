"""Curves as SVG, drawn by hand: a few lines, their axes and their names. Deliberately absent: any library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 36, 46
COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7c3aed", "#be185d")
_DECADES = 2.5
"""An axis that spans more powers of ten than this shows powers of ten."""

Points = Sequence[tuple[float, float]]


def drawn(title: str, series: Mapping[str, Points], axes: tuple[str, str]) -> str:
    points = [point for line in series.values() for point in line]
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(title)}">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" fill="#111">{escape(title)}</text>',
    ]
    for value in across.ticks():
        at = across.at(value)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#444">{_shown(value)}</text>'
        )
    for value in up.ticks():
        at = up.at(value)
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#444">{_shown(value)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        at = TOP + 14 + 20 * number
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{at - 9}" width="12" height="4" fill="{colour}"/>')
        parts += _wrapped(name, WIDTH - RIGHT + 30, at - 3)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle" fill="#111">{escape(axes[0])}</text>')
    parts.append(f'<text x="{LEFT - 60}" y="{TOP - 6}" fill="#111">{escape(axes[1])}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _wrapped(name: str, x: float, y: float) -> list[str]:
    shown = name if len(name) <= 24 else name[:23] + "…"
    return [f'<text x="{x}" y="{y}" fill="#111"><title>{escape(name)}</title>{escape(shown)}</text>']


class _Axis:
    """From values to a place on the paper; by powers of ten where they span many."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        least, most = min(values, default=0.0), max(values, default=1.0)
        self._by_tens = least > 0 and math.log10(max(most, 1e-9) / least) > _DECADES
        if self._by_tens:
            self._low, self._high = float(math.floor(math.log10(least))), float(math.ceil(math.log10(most)))
        else:
            self._low, self._high = min(0.0, least), most * 1.05 if most > 0 else 1.0
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        scaled = math.log10(value) if self._by_tens else value
        return self._start + (scaled - self._low) / max(1e-9, self._high - self._low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        if self._by_tens:
            return [10.0**power for power in range(round(self._low), round(self._high) + 1)]
        step = 10.0 ** math.floor(math.log10(max(1e-9, self._high - self._low)))
        for finer in (1.0, 2.0, 5.0):
            if (self._high - self._low) / (step / finer) >= 4:
                step /= finer
                break
        first = math.ceil(self._low / step)
        return [number * step for number in range(first, math.floor(self._high / step) + 1)]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:g}"
