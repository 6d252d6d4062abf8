"""Charts as SVG: drawn by matplotlib, in a page coloured and set in type by it, also in the dark; `gains` is a file of its own."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from zsda.reporting.cells import NONE

SERIES = 8
"""How many colours the page has, ``--series-0`` and on; further series begin anew."""

_INK, _LINE, _PAPER = "#000001", "#000002", "#000003"
_COLOURS = {_INK: "var(--ink)", _LINE: "var(--line)", _PAPER: "var(--paper)"} | {
    f"#0000{16 + number:02x}": f"var(--series-{number})" for number in range(SERIES)
}
_OF_A_FILE = {_INK: "#1f2328", _LINE: "#b6bdc6", _PAPER: "#ffffff", "#000010": "#0a5ca8"}
_STYLE = {
    **{"svg.fonttype": "none", "text.parse_math": False, "font.size": 10, "font.family": "DejaVu Sans"},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), _INK),
    **{"axes.edgecolor": _LINE, "xtick.color": _LINE, "ytick.color": _LINE},
    **{"xtick.labelcolor": _INK, "ytick.labelcolor": _INK, "grid.color": _LINE, "legend.frameon": False},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11, "axes.titlelocation": "left"},
    **{"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"},
}
_MARK = 0.005  # the share of a confusion from which it is drawn
_DASHES = ("-", "--", ":", "-.")
_POINTS = 160  # of a curve, as many as its width shows


class Bar(NamedTuple):
    """One number per group, shares of 1: the mean, and each seed's own."""

    mean: float | None
    seeds: Sequence[float] = ()


class Gain(NamedTuple):
    """One difference, shares of 1: the mean, its standard error, each seed's own, and whether it is more than noise."""

    mean: float
    error: float | None
    seeds: Sequence[float]
    firm: bool


class Curve(NamedTuple):
    """One line: where, and how much."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]


class Panel(NamedTuple):
    """Curves that share their axes."""

    title: str
    unit: str
    curves: Sequence[Curve]


def bars(name: str, groups: Sequence[str], series: Mapping[str, Sequence[Bar]]) -> str:
    """Draws horizontal bars in per cent, those of a group together, each seed as a dot.

    Args:
        name: tells the ids of this chart from those of others in the page.
        groups: their names.
        series: name -> a bar for each group.
    """
    thick = 0.8 / len(series)
    height = 0.9 + len(groups) * max(0.26, 0.08 * len(series) + 0.12)
    largest = max(
        (value for values in series.values() for bar in values for value in (bar.mean or 0, *bar.seeds)), default=0
    )
    with _style(name):
        figure, axes = _figure(7.6, height)
        places = np.arange(len(groups))
        for number, (label, values) in enumerate(series.items()):
            means = [0.0 if bar.mean is None else 100 * bar.mean for bar in values]
            middle = places + (number - (len(series) - 1) / 2) * thick
            hatch = "////" if number >= SERIES else ""  # whose colour another one has
            axes.barh(
                middle,
                means,
                thick * 0.9,
                color=_series(number),
                label=label,
                hatch=hatch,
                edgecolor=_PAPER,
                linewidth=0,
            )
            dots = [(100 * seed, place) for bar, place in zip(values, middle, strict=True) for seed in bar.seeds]
            if any(len(bar.seeds) > 1 for bar in values):
                axes.plot(*zip(*dots, strict=True), ".", color=_INK, markersize=3, alpha=0.7)
            for bar, place in zip(values, middle, strict=True):
                if bar.mean is None:
                    axes.text(0.5, place, NONE, va="center_baseline", fontsize=8)
        axes.set_yticks(places, groups)
        axes.set(xlim=(0, max(100, 105 * largest)), ylim=(len(groups) - 0.5, -0.5), xlabel="%")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.6)
        axes.set_axisbelow(True)
        _legend(figure, axes, len(series))
        return _svg(name, figure)


def curves(name: str, panels: Sequence[Panel]) -> str:
    """Draws panels of curves side by side, wide ones below one another; each label has one colour in all of them."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    with _style(name):
        figure = Figure(figsize=(3.6 * columns + 0.4, 2.3 * rows + 0.5), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=False):
            for curve in panel.curves:
                every = max(1, len(curve.steps) // _POINTS)
                kept = slice(None, None, every)
                axes.plot(
                    curve.steps[kept],
                    curve.values[kept],
                    marker="." if len(curve.steps) < 12 else "",
                    linewidth=1.2,
                    color=_series(labels.index(curve.label)),
                    linestyle=_DASHES[labels.index(curve.label) // SERIES % len(_DASHES)],
                    label=curve.label,
                )
            axes.set(title=panel.title, xlabel="step", ylabel=panel.unit)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.grid(alpha=0.6)
        for axes in [*grid][len(panels) :]:
            axes.set_axis_off()
        if len(labels) > 1:
            handles = {h.get_label(): h for axes in figure.axes for h in axes.get_lines()}
            shown = [label for label in labels if label in handles]
            figure.legend(
                [handles[label] for label in shown], shown, loc="outside lower center", ncols=min(6, len(shown))
            )
        return _svg(name, figure)


def confusion(name: str, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Draws a confusion matrix [C, C + 1] that is not empty, each row as shares of its label's pixels; classes without have no row."""
    matrix = np.array(counts, dtype=float)
    rows = np.flatnonzero(matrix.sum(axis=1))
    columns = np.flatnonzero(matrix.sum(axis=0))
    names = [*classes, "void"]
    shares = matrix[np.ix_(rows, columns)] / matrix[rows].sum(axis=1, keepdims=True)
    with _style(name):
        figure, axes = _figure(1.6 + 0.34 * len(columns), 1.4 + 0.28 * len(rows))
        places = [(row, column) for row, column in np.ndindex(len(rows), len(columns)) if shares[row, column] >= _MARK]
        cells = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in places]
        alphas = [float(shares[place]) for place in places]
        # One artist, not hundreds, each of which would take as long.
        axes.add_collection(PatchCollection(cells, facecolor=_series(0), alpha=alphas, linewidth=0))
        for (row, column), share in zip(places, alphas, strict=True):
            ink = _PAPER if share > 0.55 else _INK
            number = f"{100 * share:.0f}"
            text = axes.text(column, row, number, ha="center", va="center_baseline", fontsize=7, color=ink)
            text.set_in_layout(False)
        axes.set_xticks(range(len(columns)), [names[number] for number in columns], rotation=90)
        axes.set_yticks(range(len(rows)), [names[number] for number in rows])
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="predicted", ylabel="labelled")
        axes.tick_params(length=0)
        return _svg(name, figure)


def histogram(name: str, values: Mapping[str, Sequence[float]], axis: str) -> str:
    """Draws how shares of 1 are distributed, in per cent, one outline for each name."""
    with _style(name):
        figure, axes = _figure(7.6, 2.6)
        for number, (label, found) in enumerate(values.items()):
            points = [100 * value for value in found]
            axes.hist(points, bins=25, range=(0, 100), histtype="step", lw=1.6, color=_series(number), label=label)
        axes.set(xlim=(0, 100), xlabel=f"{axis} in %", ylabel="images")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y", alpha=0.6)
        _legend(figure, axes, len(values))
        return _svg(name, figure)


def gains(name: str, unit: str, columns: Sequence[str], rows: Mapping[str, Sequence[Gain | None]]) -> bytes:
    """Draws differences in points as an SVG file on white: a panel for each column, a line for each row.

    The mean stands on a bar of two standard errors to either side, over a small dot for each seed; what may be noise is paler.

    Args:
        name: tells its ids from those of others.
        unit: what is under the panels.
        columns: names of the panels.
        rows: name -> a difference for each panel; None where there is none.
    """
    height = 1.2 + 0.34 * len(rows)
    with _style(name):
        matplotlib.rcParams["font.family"] = "sans-serif"  # which names others for where DejaVu is not at hand
        width = max(5.2, 0.5 + 0.085 * max(map(len, rows)) + 1.75 * len(columns))
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=_PAPER)
        panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
        for number, (axes, column) in enumerate(zip(panels, columns, strict=True)):
            axes.axvline(0, color=_INK, linewidth=0.8, zorder=1)
            for place, gain in enumerate(of[number] for of in rows.values()):
                if gain is None:
                    axes.text(0, place, f" {NONE}", va="center_baseline", fontsize=8)
                else:
                    _draw_gain(axes, place, gain)
            axes.set(title=column, ylim=(len(rows) - 0.5, -0.5))
            axes.set_yticks(range(len(rows)), [*rows])
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.grid(axis="x", alpha=0.6)
            axes.set_axisbelow(True)
        figure.supxlabel(
            f"{unit}\nmean ± two standard errors, a small dot for each seed; pale: may be noise", fontsize=9
        )
        return f"{_svg(name, figure, _OF_A_FILE).rstrip()}\n".encode()


def _draw_gain(axes: Axes, place: int, gain: Gain) -> None:
    alpha, mean, colour = (1 if gain.firm else 0.35), 100 * gain.mean, _series(0)
    above, below = place - 0.12, place + 0.22
    if gain.error is not None:
        reach = 200 * gain.error
        axes.plot([mean - reach, mean + reach], [above, above], color=colour, alpha=alpha, linewidth=1.8)
    axes.plot([mean], [above], "o", color=colour, alpha=alpha, markersize=6, markeredgewidth=0)
    dots = [100 * value for value in gain.seeds]
    axes.plot(dots, [below] * len(dots), "o", color=_INK, alpha=0.7 * alpha, markersize=2.6, markeredgewidth=0)


@contextmanager
def _style(name: str) -> Iterator[None]:
    """Draws as the page wants it, whatever the user's own settings are; what has no glyph here the browser has."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": name})
        yield


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _series(number: int) -> str:
    return f"#0000{16 + number % SERIES:02x}"


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    if count > 1:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=min(4, count))


def _svg(name: str, figure: Figure, colours: Mapping[str, str] = _COLOURS) -> str:
    """Returns the element alone, with ids of its own, its colours left to the page or replaced by others."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.DOTALL
    )  # a style would be that of the whole page
    referred = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in referred else "", text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    return re.sub(r"#0000[0-9a-f]{2}\b", lambda m: colours.get(m[0], m[0]), text)
