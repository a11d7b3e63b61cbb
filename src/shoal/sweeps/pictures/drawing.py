"""The marks of a picture: lines, colour maps and dots on matplotlib's axes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from shoal.sweeps.labelled.states import DONE, FAILED, MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, PALE = "0.45", "0.90"
HATCH = "/////"
PHASE_TICKS = (-np.pi, -np.pi / 2, 0.0, np.pi / 2, np.pi)
PHASE_LABELS = (r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$")
PANEL_INCHES = (4.8, 3.6)
FEW_POINTS = 60


class Picture(Figure):
    """A figure that a notebook shows by itself, whether or not pyplot was ever imported."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=120)
        return content.getvalue()


@dataclass(frozen=True)
class Scale:
    """An axis: what stands along it.

    Attributes:
        label: Its name, with units.
        values: Where things are; text and objects are numbered from 0.
        ticks: What to write instead of the numbers, or None.
    """

    label: str
    values: np.ndarray
    ticks: tuple[str, ...] | None = None

    @property
    def logarithmic(self) -> bool:
        """Whether the values are spaced evenly by their logarithm, rather than by themselves."""
        if self.ticks is not None or self.values.dtype.kind not in "iuf":
            return False
        values = np.unique(self.values.astype(float))
        if len(values) < 3 or not values[0] > 0 or not values[-1] >= 5 * values[0]:
            return False
        spread = [np.std(steps) / np.mean(steps) for steps in (np.diff(values), _log_steps(values))]
        return bool(spread[1] < 0.5 and spread[1] < 0.5 * spread[0])

    def edges(self) -> np.ndarray:
        """The bounds of one cell for each value, which are in ascending order."""
        numbers: np.ndarray = self.values
        if numbers.dtype.kind in "mM":
            return (
                numbers_to_edges(numbers.astype(np.int64).astype(float))
                .astype(np.int64)
                .view(numbers.dtype)
            )
        numbers = numbers.astype(float)
        if self.logarithmic:
            return np.asarray(np.exp(numbers_to_edges(np.log(numbers))))
        return numbers_to_edges(numbers)


def _log_steps(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.diff(np.log(values)))


def numbers_to_edges(numbers: np.ndarray) -> np.ndarray:
    """Half-way between neighbours, and as far beyond the first and the last."""
    if len(numbers) == 1:
        return np.array([numbers[0] - 0.5, numbers[0] + 0.5])
    middles = (numbers[:-1] + numbers[1:]) / 2
    return np.concatenate([[2 * numbers[0] - middles[0]], middles, [2 * numbers[-1] - middles[-1]]])


@dataclass(frozen=True)
class Quantity:
    """What is drawn in one panel.

    Attributes:
        label: Its name, with units.
        values: Real numbers.
        phase: Whether they are angles from -π to π.
    """

    label: str
    values: np.ndarray
    phase: bool = False


def panels(count: int, figsize: tuple[float, float] | None) -> tuple[Picture, list[Axes]]:
    """A figure with so many panels side by side."""
    width, height = figsize or (PANEL_INCHES[0] * count, PANEL_INCHES[1])
    figure = Picture(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)
    return figure, [*axes[0]]


def apply_scale(axes: Axes, scale: Scale, which: str) -> None:
    """Labels the ``"x"`` or ``"y"`` axis, and makes it logarithmic where it is."""
    axes.set(**{f"{which}label": scale.label})
    if scale.logarithmic:
        axes.set(**{f"{which}scale": "log"})
    if scale.values.dtype.kind == "M":
        axis = axes.xaxis if which == "x" else axes.yaxis
        locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if scale.ticks is not None:
        step = -(-len(scale.ticks) // 12)
        axes.set(
            **{f"{which}ticks": range(0, len(scale.ticks), step)},
            **{f"{which}ticklabels": scale.ticks[::step]},
            **{f"{which}lim": (-0.5, len(scale.ticks) - 0.5)},
        )


def apply_phase(axes: Axes) -> None:
    """Makes the vertical axis one of angles."""
    axes.set_ylim(-np.pi * 1.05, np.pi * 1.05)
    axes.set_yticks(PHASE_TICKS, PHASE_LABELS)


def lines(
    axes: Axes,
    x: Scale,
    quantity: Quantity,
    states: np.ndarray,
    names: Sequence[str | None],
    *,
    title: str,
) -> None:
    """One line for each row of the quantity, and a cross on the axis where points failed."""
    order = np.argsort(x.values, kind="stable")
    across = x.values[order]
    colours = _line_colours(len(names))
    for row, name in enumerate(names):
        values = quantity.values[row][order]
        marker = "o" if len(values) <= FEW_POINTS else None
        shown = _unwrapped(across, values) if quantity.phase else (across, values)
        axes.plot(*shown, color=colours[row], lw=1.4, marker=marker, ms=3, label=name)
        for state, mark in ((FAILED, "x"), (MISSING, "|")):
            there = across[states[row][order] == state]
            axes.plot(
                there,
                np.full(len(there), 0.025),
                mark,
                color=GREY if len(names) == 1 else colours[row],
                ms=5,
                transform=axes.get_xaxis_transform(),
            )
    apply_scale(axes, x, "x")
    axes.set_ylabel(quantity.label)
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    if quantity.phase:
        apply_phase(axes)
    if len(names) > 1 and not quantity.phase:
        axes.legend(title=title, fontsize="small", title_fontsize="small", edgecolor="none")
    above(axes, _marks(states))


def _line_colours(count: int) -> list[Any]:
    if count <= 6:
        return [f"C{number}" for number in range(count)]
    return [mpl.colormaps["viridis"](number) for number in np.linspace(0, 0.9, count)]


def _unwrapped(across: np.ndarray, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line with gaps where the angle goes over from π to -π."""
    jumps = np.flatnonzero(np.abs(np.diff(phase)) > np.pi) + 1
    return np.insert(across, jumps, across[jumps - 1]), np.insert(phase, jumps, np.nan)


def _marks(states: np.ndarray) -> list[Line2D]:
    """Entries of a legend for the crosses."""
    found = []
    for state, mark, name in ((FAILED, "x", "failed"), (MISSING, "|", "missing")):
        if (states == state).any():
            found.append(Line2D([], [], color=GREY, marker=mark, ls="", ms=5, label=name))
    return found


def above(axes: Axes, handles: Sequence[Any]) -> None:
    """Says what the marks are, above the panel, where nothing is hidden by it."""
    if not handles:
        return
    names = [str(each.get_label()) for each in handles]
    first = axes.get_legend()
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=max(1, min(len(names), 60 // max(map(len, names)))),
        frameon=False,
        fontsize="small",
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    if first is not None:
        axes.add_artist(first)


def colour_map(
    axes: Axes, scales: tuple[Scale, Scale], quantity: Quantity, states: np.ndarray, cmap: Any
) -> None:
    """A cell for each value, rows upwards; hatched where points failed."""
    orders = [np.argsort(each.values, kind="stable") for each in scales]
    x, y = (
        Scale(each.label, each.values[order], each.ticks)
        for each, order in zip(scales, orders, strict=True)
    )
    values = quantity.values[np.ix_(orders[1], orders[0])]
    states = states[np.ix_(orders[1], orders[0])]
    mesh = axes.pcolormesh(
        x.edges(),
        y.edges(),
        np.ma.masked_invalid(values),
        rasterized=True,
        **_colouring(quantity, cmap),
    )
    handles = _background(axes, x, y, np.isnan(values), states)
    for scale, which in ((x, "x"), (y, "y")):
        apply_scale(axes, scale, which)
    colour_bar(axes, mesh, quantity)
    above(axes, handles)


def _colouring(quantity: Quantity, cmap: Any) -> dict[str, Any]:
    if quantity.phase:
        return {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi}
    finite = quantity.values[np.isfinite(quantity.values)]
    if not finite.size:
        return {"cmap": cmap or "viridis", "vmin": 0.0, "vmax": 1.0}
    return {"cmap": cmap or "viridis", "vmin": finite.min(), "vmax": finite.max()}


def colour_bar(axes: Axes, mappable: Any, quantity: Quantity) -> None:
    """The scale of the colours, with its label."""
    bar = axes.figure.colorbar(mappable, ax=axes, label=quantity.label, pad=0.02)
    bar.outline.set_linewidth(0.6)
    if quantity.phase:
        bar.set_ticks(PHASE_TICKS, labels=PHASE_LABELS)


def _background(
    axes: Axes, x: Scale, y: Scale, empty: np.ndarray, states: np.ndarray
) -> list[Patch]:
    """What is seen where there is no colour: failed points hatched, missing ones grey."""
    handles = []
    if (states == FAILED).any():
        style: dict[str, Any] = {"facecolor": PALE, "edgecolor": "0.6", "hatch": HATCH, "lw": 0.0}
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, zorder=-1, **style))
        handles.append(Patch(**style, label="failed"))
    others = ((DONE, "white", "NaN"), (MISSING, "0.8", "missing"))
    for state, colour, name in others:
        there = empty & (states == state)
        if there.any():
            axes.pcolormesh(
                x.edges(),
                y.edges(),
                np.ma.masked_where(~there, np.ones(there.shape)),
                cmap=ListedColormap([colour]),
                rasterized=True,
            )
            handles.append(Patch(facecolor=colour, edgecolor="0.6", lw=0.6, label=name))
    return handles


def dots(
    axes: Axes, scales: tuple[Scale, Scale], quantity: Quantity, states: np.ndarray, cmap: Any
) -> None:
    """A coloured dot for each value; a cross where points failed."""
    x, y = scales
    good = np.isfinite(quantity.values)
    size = float(np.clip(4000 / max(len(good), 1), 6, 40))
    mesh = axes.scatter(
        x.values[good],
        y.values[good],
        s=size,
        c=quantity.values[good],
        edgecolors="0.25",
        linewidths=0.3,
        **_colouring(quantity, cmap),
    )
    for state, mark in ((FAILED, "x"), (MISSING, "|")):
        there = states == state
        axes.scatter(x.values[there], y.values[there], s=size, c=GREY, marker=mark, linewidths=1.0)
    for scale, which in ((x, "x"), (y, "y")):
        apply_scale(axes, scale, which)
    colour_bar(axes, mesh, quantity)
    above(axes, _marks(states))


def kinds_map(
    axes: Axes, scales: tuple[Scale, Scale], kinds: np.ndarray, names: Mapping[int, str]
) -> None:
    """A cell for each point, in the colour of its kind; -1 is left pale."""
    orders = [np.argsort(each.values, kind="stable") for each in scales]
    x, y = (
        Scale(each.label, each.values[order], each.ticks)
        for each, order in zip(scales, orders, strict=True)
    )
    cells = kinds[np.ix_(orders[1], orders[0])]
    axes.set_facecolor(PALE)
    axes.pcolormesh(
        x.edges(),
        y.edges(),
        np.ma.masked_less(cells, 0),
        cmap=ListedColormap([kind_colour(kind) for kind in names]),
        vmin=-0.5,
        vmax=len(names) - 0.5,
        rasterized=True,
    )
    for scale, which in ((x, "x"), (y, "y")):
        apply_scale(axes, scale, which)


def kinds_dots(
    axes: Axes, scales: tuple[Scale, Scale], kinds: np.ndarray, names: Mapping[int, str]
) -> None:
    """A dot for each point, in the colour of its kind; -1 is small and pale."""
    x, y = scales
    for kind in (-1, *names):
        there = kinds == kind
        colour, size = (kind_colour(kind), 28) if kind >= 0 else ("0.8", 8)
        axes.scatter(x.values[there], y.values[there], s=size, c=[colour], linewidths=0)
    for scale, which in ((x, "x"), (y, "y")):
        apply_scale(axes, scale, which)


def kind_colour(kind: int) -> Any:
    """The colour of a kind of error."""
    return mpl.colormaps["tab10"](kind % 10)
