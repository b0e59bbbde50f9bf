"""Charts as SVG text: enough for a report, nothing that needs a library or the network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 14, 40
# Okabe and Ito's palette, which the colour-blind can tell apart, then darker ones of Paul Tol's for what comes after eight.
PALETTE = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#b8a800"),
    *("#332288", "#882255", "#117733", "#661100", "#000000", "#44aa99"),
)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve. `band` holds (low, high) for each point; `dots` draws points with error bars instead of a line.

    Without a `colour` of its own it gets one by its place among the others.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    band: Sequence[tuple[float, float]] = field(default=())
    dots: bool = False
    colour: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps data to pixels."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return LEFT + (value - self.x_low) / ((self.x_high - self.x_low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (value - self.y_low) / ((self.y_high - self.y_low) or 1) * (HEIGHT - TOP - BOTTOM)


def line_chart(series: Sequence[Series], *, x_title: str, y_title: str, y_low: float | None = None) -> str:
    """Curves with bands, and points with error bars."""
    series = [one for one in series if len(one.xs)]
    if not series:
        return missing()
    values = [value for one in series for value in (*one.ys, *(edge for pair in one.band for edge in pair))]
    low = min(values) if y_low is None else y_low
    scale = Scale(
        x_low=min(min(one.xs) for one in series),
        x_high=max(max(one.xs) for one in series),
        y_low=low,
        y_high=max(values) if max(values) > low else low + 1,
    )
    parts = [axes(scale, x_title, y_title)]
    for one, colour in zip(series, colours(series), strict=True):
        parts.append(dots(one, scale, colour) if one.dots else curve(one, scale, colour))
    return frame(parts, series)


def curve(one: Series, scale: Scale, colour: str) -> str:
    """A line, with its band below it."""
    band = ""
    if one.band:
        edge = [(scale.x(x), scale.y(high)) for x, (_, high) in zip(one.xs, one.band, strict=True)]
        edge += [(scale.x(x), scale.y(low)) for x, (low, _) in reversed(list(zip(one.xs, one.band, strict=True)))]
        band = f'<polygon points="{points(edge)}" fill="{colour}" opacity="0.18"/>'
    path = points([(scale.x(x), scale.y(y)) for x, y in zip(one.xs, one.ys, strict=True)])
    marks = "".join(
        f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2.4" fill="{colour}">'
        f"<title>{escape(one.name)}, {x:g}: {y:.4g}</title></circle>"
        for x, y in zip(one.xs, one.ys, strict=True)
    )
    return f'{band}<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>{marks}'


def dots(one: Series, scale: Scale, colour: str) -> str:
    """Points with error bars."""
    drawn = []
    for index, (x, y) in enumerate(zip(one.xs, one.ys, strict=True)):
        low, high = one.band[index] if one.band else (y, y)
        drawn.append(
            f'<line x1="{scale.x(x):.1f}" x2="{scale.x(x):.1f}" y1="{scale.y(low):.1f}" y2="{scale.y(high):.1f}" '
            f'stroke="{colour}" stroke-width="2"/><circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="5" '
            f'fill="{colour}"><title>{escape(one.name)}, {x:g}: {y:.3f} [{low:.3f}, {high:.3f}]</title></circle>'
        )
    return "".join(drawn)


def stacked_bars(xs: Sequence[float], layers: Sequence[Series], *, x_title: str, y_title: str) -> str:
    """One bar for each x, the layers on top of each other."""
    if not xs or not layers:
        return missing()
    totals = [sum(layer.ys[index] for layer in layers) for index in range(len(xs))]
    scale = Scale(x_low=min(xs) - 0.5, x_high=max(xs) + 0.5, y_low=0, y_high=max(totals) or 1)
    width = (WIDTH - LEFT - RIGHT) / (max(xs) - min(xs) + 1) * 0.86
    parts = [axes(scale, x_title, y_title)]
    for index, x in enumerate(xs):
        base = 0.0
        for layer, colour in zip(layers, colours(layers), strict=True):
            value = layer.ys[index]
            top, bottom = scale.y(base + value), scale.y(base)
            parts.append(
                f'<rect x="{scale.x(x) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" '
                f'fill="{colour}"><title>{escape(layer.name)}, {x:g}: {value:.3g}</title></rect>'
            )
            base += value
    return frame(parts, layers)


def axes(scale: Scale, x_title: str, y_title: str) -> str:
    """Grid, ticks and titles."""
    parts = []
    for y in y_ticks(scale.y_low, scale.y_high):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale.y(y):.1f}" y2="{scale.y(y):.1f}"/>'
            f'<text x="{LEFT - 6}" y="{scale.y(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>'
        )
    for x in x_ticks(scale.x_low, scale.x_high):
        parts.append(f'<text x="{scale.x(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text transform="translate(13 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>'
    )
    return "".join(parts)


def y_ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers between two: multiples of 1, 2 or 5 times a power of ten. Example: 0, 0.2, 0.4, 0.6."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    every = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    # Not a sum of steps, whose rounding errors would show.
    return [
        round(index * every, 12) for index in range(math.ceil(low / every - 1e-9), math.floor(high / every + 1e-9) + 1)
    ]


def x_ticks(low: float, high: float) -> list[int]:
    """At most about eight whole numbers between two."""
    first, last = int(-(-low // 1)), int(high // 1)
    every = max(1, -(-(last - first) // 8))
    return list(range(first, last + 1, every))


def colours(series: Sequence[Series]) -> list[str]:
    """The colour of each series."""
    return [one.colour or PALETTE[index % len(PALETTE)] for index, one in enumerate(series)]


def frame(parts: Sequence[str], series: Sequence[Series]) -> str:
    """The SVG element with its legend."""
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(one.name)}</span>'
        for one, colour in zip(series, colours(series), strict=True)
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg><div class="legend">{legend}</div>'


def missing() -> str:
    """What stands in the place of a chart without data."""
    return '<p class="missing">nothing was recorded for this chart</p>'


def points(pairs: Sequence[tuple[float, float]]) -> str:
    """Coordinates for a polyline."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
