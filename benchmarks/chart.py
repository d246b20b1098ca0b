"""Curves as SVG: one line for each series over a logarithmic axis, with the range of the rounds at each point."""

import math
from collections.abc import Sequence
from html import escape

from attrs import frozen

from benchmarks.spread import Spread

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 40, 56  # around the area that is drawn in
COLOURS = ("#1f5fa8", "#8a8a8a", "#b3541e")
TICKS = 5
FONT = 'font-family="sans-serif" font-size="12"'


@frozen
class Series:
    """A name, and at each x a number with its range."""

    name: str
    points: Sequence[tuple[float, Spread]]


def svg(title: str, across: str, up: str, series: Sequence[Series]) -> str:
    """The picture; ``across`` and ``up`` say what the axes are. The upward one begins at 0."""
    places = sorted({x for each in series for x, _ in each.points})
    step = _step(max(spread.most for each in series for _, spread in each.points) / TICKS)
    top = step * TICKS
    low, high = math.log10(places[0]), math.log10(places[-1])

    def at(x: float) -> float:
        share = (math.log10(x) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def over(y: float) -> float:
        return HEIGHT - BOTTOM - min(1.0, y / top) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 20, title, "start", 'font-weight="bold" font-size="14"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, across, "middle"),
        _text(
            16, (TOP + HEIGHT - BOTTOM) / 2, up, "middle", f'transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})"'
        ),
    ]
    for number in range(TICKS + 1):
        y = over(number * step)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{number * step:g}", "end"))
    parts += [_text(at(x), HEIGHT - BOTTOM + 18, f"{x:,.0f}", "middle") for x in places]
    for each, colour, number in zip(series, COLOURS, range(len(COLOURS)), strict=False):
        line = " ".join(f"{at(x):.1f},{over(spread.median):.1f}" for x, spread in each.points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, spread in each.points:
            bar = f"M{at(x):.1f} {over(spread.least):.1f}V{over(spread.most):.1f}"
            parts.append(f'<path d="{bar}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{at(x):.1f}" cy="{over(spread.median):.1f}" r="3" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT, 20 + 14 * number, each.name, "end", f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on that is no less than ``least``."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
