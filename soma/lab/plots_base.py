"""What every figure here shares: colours, axes that a notebook shows, units of time."""

from __future__ import annotations

import io
from typing import Final, Literal

from matplotlib import figure
from matplotlib.axes import Axes

from soma.math.units import DAY, HOUR, MINUTE, YEAR

__all__: list[str] = []

# Okabe and Ito's colours, which colour-blind readers tell apart
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
QUIET: Final = "#9AA5B1"
INK: Final = "#323F4B"
MARKERS: Final = "osD^vP*"
DOTS_PER_INCH: Final = 110


class Figure(figure.Figure):
    """A figure that a notebook shows, and that no register of open figures keeps alive."""

    def _repr_png_(self) -> bytes:
        return _png(self)


class FigureAxes(Axes):
    """The axes of such a figure: shown as its picture."""

    def _repr_png_(self) -> bytes:
        return _png(self.figure)  # type: ignore[arg-type]  # they stand in a figure of ours


def _png(shown: figure.Figure) -> bytes:
    file = io.BytesIO()
    shown.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()


def axes_of(ax: Axes | None, *, height: float, width: float) -> Axes:
    """Return the given axes, or those of a new figure, in inches."""
    if ax is not None:
        return ax
    return Figure(figsize=(width, height), layout="constrained").add_subplot(axes_class=FigureAxes)


def tidy(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    """Take away what is not data, and draw a quiet grid."""
    for side in ("top", "right", "left" if grid == "x" else "bottom"):
        axes.spines[side].set_visible(False)
    axes.grid(axis=grid, color=QUIET, alpha=0.3, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def unit_of(span_s: float) -> tuple[float, str]:
    """Return the unit of time that suits a span, in seconds, and its name."""
    for unit, name in ((YEAR, "years"), (DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")):
        if span_s >= 2.0 * unit:
            return unit, name
    return 1.0, "seconds"
