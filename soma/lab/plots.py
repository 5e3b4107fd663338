"""Figures: each function draws one result on one set of axes and returns them. Nothing here shows or saves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.lab.plots_base import COLOURS, INK, MARKERS, axes_of, tidy, unit_of
from soma.lab.plots_experiment import cutoffs, experiment
from soma.lab.plots_math import approximation, cell_order, fitted, leaderboard, lines, normalisers, scaling
from soma.math.domain import positive_scalar
from soma.math.units import YEAR
from soma.state.instant import to_iso
from soma.state.recall import headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from soma.math.decay import Curve
    from soma.state.recall import Hit, Recall

__all__ = [
    "approximation",
    "cell_order",
    "curves",
    "cutoffs",
    "experiment",
    "fading",
    "fitted",
    "leaderboard",
    "lines",
    "normalisers",
    "recall",
    "scaling",
]

TERM: Final = re.compile(r"\w+(?=\(\))|(?<=of=)[a-z_]+|same_cell|memory_type|bm25|graph|mentions")
N_STEPS: Final = 400


def recall(recall: Recall, *, ax: Axes | None = None) -> Axes:
    """Draw the score of every hit as a bar, and what it is made of as marks.

    Parameters
    ----------
    recall : Recall
        A ranked answer.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        Bars by rank, the best on top. Where the score is a product of factors in [0, 1], each factor is a mark on
        the same scale.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots.py``.
    """
    axes = axes_of(ax, height=1.1 + 0.62 * max(len(recall), 1), width=9.0)
    places = np.arange(len(recall))
    axes.barh(places, [hit.score for hit in recall], height=0.36, color=COLOURS[0], alpha=0.85, label="score", zorder=2)
    for number, (name, values) in enumerate(factors(recall).items()):
        colour = COLOURS[1 + number % (len(COLOURS) - 1)]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(values, places, marker, color=colour, markersize=6, label=name, zorder=3, clip_on=False)
    axes.set_yticks(places, [_two_lines(hit) for hit in recall])
    axes.set_ylim(max(len(recall), 1) - 0.5, -0.5)
    axes.set_xlim(left=min(0.0, *axes.get_xlim()))
    axes.set_xlabel("score, and its factors")
    axes.set_title(_shortened(f"“{recall.query}” among {recall.n_candidates:,} memories", 76), loc="left", color=INK)
    tidy(axes, grid="x")
    if len(recall):
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.75 / (0.62 * len(recall) + 1.1)), ncols=5, frameon=False
        )
    return axes


def fading(
    recall: Recall, *, until_s: float = YEAR, recalled_after_s: Iterable[float] = (), ax: Axes | None = None
) -> Axes:
    """Draw how the scores of an answer change while the clock moves on and nothing else does.

    Parameters
    ----------
    recall : Recall
        A ranked answer, under a policy whose terms change with ``age_s`` and ``idle_s`` only.
    until_s : float
        How far the clock moves, seconds, > 0.
    recalled_after_s : iterable of float
        Draw the first hit once more, as if it were recalled at these times after the answer, seconds.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        One line a hit; a dashed one for the first if it is recalled, with a mark at each recall.

    Raises
    ------
    InvalidParameterError
        For a policy with terms that only a fold can move on, ``trace`` and ``activation``, and for a set-level
        one: the other candidates would move too.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots.py``.
    """
    later = recall.policy.features & {"trace", "activation"}
    if later:
        raise InvalidParameterError("policy", str(recall.policy), f"must not use {', '.join(sorted(later))} here")
    if not recall.policy.is_pointwise:
        raise InvalidParameterError("policy", str(recall.policy), "must be pointwise here")
    axes = axes_of(ax, height=4.6, width=9.0)
    elapsed = np.linspace(0.0, positive_scalar("until_s", until_s), N_STEPS)
    unit, name = unit_of(until_s)
    for number, hit in enumerate(recall):
        colour = COLOURS[number % len(COLOURS)]
        scores = _moved(recall, hit, elapsed, ())
        axes.plot(elapsed / unit, scores, color=colour, linewidth=2, label=_shortened(headline(hit.record), 46))
    at_s = np.sort(np.array(list(recalled_after_s), dtype=np.float64))
    if len(at_s) and len(recall):
        kept = np.sort(np.concatenate([elapsed, at_s]))
        axes.plot(kept / unit, _moved(recall, recall[0], kept, at_s), "--", color=COLOURS[0], linewidth=2)
        axes.plot(
            at_s / unit, _moved(recall, recall[0], at_s, at_s), "o", color=COLOURS[0], label="the first, recalled here"
        )
    axes.set_xlabel(f"{name} after {to_iso(recall.now_s)[:10]}")
    axes.set_ylabel("score")
    axes.set_ylim(bottom=min(0.0, *axes.get_ylim()))
    axes.set_xlim(0.0, until_s / unit)
    axes.set_title(_shortened(f"“{recall.query}” as time passes", 76), loc="left", color=INK)
    tidy(axes, grid="y")
    if len(recall):
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return axes


def curves(curves: Mapping[str, Curve] | Sequence[Curve], *, until_s: float, ax: Axes | None = None) -> Axes:
    """Draw forgetting curves: what is left against elapsed time.

    Parameters
    ----------
    curves : mapping of str to Curve, or sequence of Curve
        What to draw; without names, each curve is named by itself.
    until_s : float
        Longest elapsed time, seconds, > 0.
    ax : Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    Axes
        One line a curve, from 0 to 1.

    Notes
    -----
    Tests: ``property_tests/lab/test_plots.py``.
    """
    named = curves if isinstance(curves, Mapping) else {repr(curve): curve for curve in curves}
    axes = axes_of(ax, height=4.4, width=8.0)
    elapsed = np.linspace(0.0, positive_scalar("until_s", until_s), N_STEPS)
    unit, name = unit_of(until_s)
    for number, (label, curve) in enumerate(named.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(elapsed / unit, curve.value(elapsed), color=colour, linewidth=2, label=label)
    axes.set_xlabel(f"elapsed time, {name}")
    axes.set_ylabel("retention")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlim(0.0, until_s / unit)
    tidy(axes, grid="y")
    if named:
        axes.legend(loc="upper right", frameon=False)
    return axes


def factors(recall: Recall) -> dict[str, list[float]]:
    """Return the factors of every score, by name, if the policy is a product of factors that all lie in [0, 1]."""
    found: dict[str, list[float]] = {}
    for hit in recall:
        why = recall.explain(hit.rank)
        if why.operation != "*":
            return {}
        for part in why.children:
            found.setdefault(_name(part.label), []).append(part.value)
    whole = all(len(values) == len(recall) and all(0 <= v <= 1 for v in values) for values in found.values())
    return found if whole else {}


def _name(label: str) -> str:
    terms = list(dict.fromkeys(TERM.findall(label)))
    shown = ", ".join(terms) or label
    return f"decay of {shown}" if label.startswith("decay(") else shown


def _moved(recall: Recall, hit: Hit, elapsed: NDArray[np.float64], recalled: Any) -> NDArray[np.float64]:
    """Return the score of a hit after each elapsed time, if it is recalled at some."""
    features: dict[str, Any] = {name: np.full(len(elapsed), value) for name, value in hit.features.items()}
    if "age_s" in features:
        features["age_s"] = features["age_s"] + elapsed
    if "idle_s" in features:
        idle = features["idle_s"] + elapsed
        for at_s in recalled:
            idle = np.where(elapsed >= at_s, elapsed - at_s, idle)
        features["idle_s"] = idle
    return np.broadcast_to(recall.policy.evaluate(features), elapsed.shape)


def _two_lines(hit: Hit) -> str:
    return f"{_shortened(headline(hit.record), 52)}\n{to_iso(hit.record.timestamp)[:10]}"


def _shortened(text: str, width: int) -> str:
    # a dollar would start mathematics
    line = text.replace("$", r"\$")
    return line if len(line) <= width else f"{line[: width - 1]}…"
