"""Figures of the mathematics: dimensions, orders of cells, approximations, normalisers, fits, leaderboards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from soma.errors import InvalidParameterError
from soma.lab.plots_base import COLOURS, INK, MARKERS, QUIET, axes_of, tidy, unit_of
from soma.math.coordinates import hilbert_decode, morton_decode
from soma.math.domain import finite, positive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from soma.lab.decay_bench import Standing
    from soma.math.decay import Curve
    from soma.math.dimension import DimensionEstimate
    from soma.math.exponential_sum import ExponentialSum
    from soma.math.importance_base import Scale

__all__ = ["approximation", "cell_order", "fitted", "leaderboard", "lines", "normalisers", "scaling"]

N_STEPS = 400


def approximation(law: ExponentialSum, *, ax: Axes | None = None) -> Axes:
    """Draw how far a sum of exponentials is from its power law, and the bound that it states.

    Parameters
    ----------
    law : ExponentialSum
        The sum.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The relative error against age, from ``t_min_s`` to ``t_max_s``, between two lines at the bound.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    axes = axes_of(ax, height=3.8, width=8.0)
    ages = np.geomspace(law.t_min_s, law.t_max_s, 5 * N_STEPS)
    axes.semilogx(ages, law.value(ages) * ages**law.exponent - 1.0, color=COLOURS[0], linewidth=1.5, label="error")
    axes.axhline(law.eps, color=COLOURS[1], linewidth=1.2, linestyle="--", label="bound")
    axes.axhline(-law.eps, color=COLOURS[1], linewidth=1.2, linestyle="--")
    axes.set_xlim(law.t_min_s, law.t_max_s)
    axes.set_xlabel("age, seconds")
    axes.set_ylabel("relative error")
    tidy(axes, grid="y")
    axes.legend(loc="upper center", frameon=False, ncols=2, bbox_to_anchor=(0.5, 1.14))
    return axes


def cell_order(curve: Literal["morton", "hilbert"], levels: int, *, ax: Axes | None = None) -> Axes:
    """Draw in which order a curve visits the cells of a square.

    Parameters
    ----------
    curve : {"morton", "hilbert"}
        Which.
    levels : int
        Depth of the tree, 1 to 7.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        One path through the middles of the cells, dark where it begins.

    Raises
    ------
    InvalidParameterError
        For another curve, or too many levels to be seen.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    decode = {"morton": morton_decode, "hilbert": hilbert_decode}.get(curve)
    if decode is None:
        raise InvalidParameterError("curve", curve, "must be 'morton' or 'hilbert'")
    if type(levels) is not int or not 1 <= levels <= 7:
        raise InvalidParameterError("levels", levels, "must be an integer from 1 to 7")
    axes = axes_of(ax, height=4.4, width=4.4)
    n = 4**levels
    middles = (decode(np.arange(n, dtype=np.uint64), 2, levels).astype(np.float64) + 0.5) / 2**levels
    axes.plot(middles[:, 0], middles[:, 1], color=QUIET, linewidth=1.0, zorder=1)
    axes.scatter(middles[:, 0], middles[:, 1], c=np.arange(n), cmap="viridis", s=3_000 / n, zorder=2)
    walls = np.linspace(0.0, 1.0, 2 ** min(levels, 2) + 1)
    axes.set_xticks(walls, labels=[f"{wall:g}" for wall in walls])
    axes.set_yticks(walls, labels=[f"{wall:g}" for wall in walls])
    axes.grid(color=QUIET, alpha=0.4, linewidth=0.8)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_aspect("equal")
    axes.tick_params(length=0, colors=INK)
    axes.set_title(f"{curve.capitalize()}, level {levels}", loc="left", color=INK, fontsize=11)
    return axes


def fitted(elapsed_s: ArrayLike, observed: ArrayLike, curves: Mapping[str, Curve], *, ax: Axes | None = None) -> Axes:
    """Draw measurements, and curves that were fitted to them, over the logarithm of time.

    Parameters
    ----------
    elapsed_s : array_like, shape (n,)
        Time since learning, seconds, > 0.
    observed : array_like, shape (n,)
        What was measured: savings, or shares of what was recalled.
    curves : mapping of str to Curve
        The curves, by name.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Marks for the measurements, one line for each curve.

    Raises
    ------
    InvalidParameterError
        For times that are not > 0, or another number of measurements.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    t, y = positive("elapsed_s", elapsed_s), finite("observed", observed)
    if t.ndim != 1 or t.shape != y.shape:
        raise InvalidParameterError("observed", y.shape, f"must be as many as the times, {t.shape}")
    axes = axes_of(ax, height=4.4, width=8.0)
    unit, name = unit_of(float(t.max()))
    over = np.geomspace(t.min() / 1.3, t.max() * 1.3, N_STEPS)
    for number, (label, curve) in enumerate(curves.items()):
        axes.semilogx(over / unit, curve.value(over), color=COLOURS[1 + number % 6], linewidth=2, label=label)
    axes.semilogx(t / unit, y, "o", color=COLOURS[0], markersize=7, label="measured", zorder=3)
    axes.set_xlabel(f"elapsed time, {name}")
    axes.set_ylabel("retention")
    axes.set_ylim(bottom=0.0)
    tidy(axes, grid="y")
    axes.legend(loc="upper right", frameon=False)
    return axes


def leaderboard(standings: Sequence[Standing], *, ax: Axes | None = None) -> Axes:
    """Draw by how much each model is behind the first, with its interval.

    Parameters
    ----------
    standings : sequence of Standing
        What `soma.lab.decay_bench.leaderboard` returned.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A mark and an interval for each model, the first on top.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    axes = axes_of(ax, height=1.2 + 0.36 * max(len(standings), 1), width=8.0)
    behind = np.array([row.behind for row in standings])
    ends = np.array([(row.behind_low, row.behind_high) for row in standings]).reshape(-1, 2)
    places = np.arange(len(standings))
    axes.hlines(places, ends[:, 0], ends[:, 1], color=COLOURS[0], linewidth=3, alpha=0.4)
    axes.plot(behind, places, "o", color=COLOURS[0], markersize=7)
    axes.axvline(0.0, color=QUIET, linewidth=1.0)
    axes.set_yticks(places, labels=[f"{row.model}  {row.log_loss:.4f}" for row in standings])
    axes.invert_yaxis()
    axes.set_xlabel("log loss behind the first, with 95 % interval")
    tidy(axes, grid="x")
    return axes


def lines(x: ArrayLike, ys: Mapping[str, ArrayLike], *, x_label: str, y_label: str, ax: Axes | None = None) -> Axes:
    """Draw quantities over another, one line each.

    Parameters
    ----------
    x : array_like, shape (n,)
        What they depend on.
    ys : mapping of str to array_like, each of shape (n,)
        The quantities, by name.
    x_label, y_label : str
        What is drawn, with its unit.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        The lines, in the order of the mapping.

    Raises
    ------
    InvalidParameterError
        For numbers that are not finite, or another number of them.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    over = finite("x", x)
    axes = axes_of(ax, height=4.2, width=8.0)
    for number, (label, values) in enumerate(ys.items()):
        y = finite("ys", values)
        if over.ndim != 1 or y.shape != over.shape:
            raise InvalidParameterError("ys", y.shape, f"must be as many as x, {over.shape}")
        axes.plot(over, y, color=COLOURS[number % len(COLOURS)], linewidth=2, label=label)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    tidy(axes, grid="y")
    if ys:
        axes.legend(loc="best", frameon=False)
    return axes


def normalisers(scales: Mapping[str, Scale], importance: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw what normalisers make of raw importance.

    Parameters
    ----------
    scales : mapping of str to Scale
        Normalisers, by name.
    importance : array_like, shape (n,)
        Raw importance that is there: the figure reaches from its least to its greatest value.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        A line for each normaliser, and a tick under the axis for each value.

    Raises
    ------
    InvalidParameterError
        For no values, or values that are not finite.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    values = finite("importance", importance)
    if values.ndim != 1 or not values.size:
        raise InvalidParameterError("importance", values.shape, "must have shape (n,), n >= 1")
    over = np.linspace(values.min(), values.max(), 2 * N_STEPS)
    axes = lines(
        over,
        {name: scale.normalise(over) for name, scale in scales.items()},
        x_label="raw importance",
        y_label="normalised",
        ax=ax,
    )
    axes.plot(values, np.full(len(values), -0.04), "|", color=QUIET, markersize=9)
    axes.set_ylim(-0.08, 1.04)
    return axes


def scaling(estimates: Mapping[str, DimensionEstimate], *, ax: Axes | None = None) -> Axes:
    """Draw what dimensions were read from: entropy, or the number of pairs, against the scale, and the fitted lines.

    Parameters
    ----------
    estimates : mapping of str to DimensionEstimate
        Estimates that are slopes, by the names of their sets.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Marks in bits against halvings of the scale, and a line for each estimate, labelled with its slope.

    Raises
    ------
    InvalidParameterError
        For an estimate that is no slope.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots_math.py``.
    """
    axes = axes_of(ax, height=4.6, width=8.0)
    for number, (label, estimate) in enumerate(estimates.items()):
        if not estimate.log2_scale:
            raise InvalidParameterError("estimates", estimate.method, "must be slopes: it has no points to draw")
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        x, y = -np.array(estimate.log2_scale), np.array(estimate.log2_measure)
        axes.plot(x, y, marker, color=colour, markersize=6, label=f"{label}: {estimate}")
        axes.plot(x, y.mean() + estimate.value * (x - x.mean()), color=colour, linewidth=1.5, alpha=0.7)
    axes.set_xlabel("halvings of the scale")
    axes.set_ylabel("bits")
    tidy(axes, grid="y")
    if estimates:
        axes.legend(loc="upper left", frameon=False)
    return axes
