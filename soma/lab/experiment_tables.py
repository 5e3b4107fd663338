"""How the summary of an experiment is read: as a small table, and as LaTeX."""

from __future__ import annotations

from typing import Final

import pandas as pd

__all__ = ["latex", "readable"]

_SPECIAL: Final = str.maketrans({letter: "\\" + letter for letter in "_$&#%{}"} | {"\\": r"\textbackslash{}"})


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary as texts in percent: one row a system, one column a metric, differences in brackets.

    Parameters
    ----------
    summary : DataFrame
        From `soma.lab.experiment.Experiment.summary`.
    """
    texts = [
        f"{mean:.1f}" + (f" [{low:+.1f}, {high:+.1f}]" if apart else "") for mean, low, high, apart in _rows(summary)
    ]
    return _wide(pd.Series(texts, index=summary.index))


def latex(summary: pd.DataFrame, baseline: str, level: float) -> str:
    """Return a summary as a LaTeX tabular with rules of ``booktabs``, the best of each column bold.

    Parameters
    ----------
    summary : DataFrame
        From `soma.lab.experiment.Experiment.summary`.
    baseline : str
        What the differences are from.
    level : float
        Coverage of their intervals.
    """
    best = summary["mean"].groupby(level=[name for name in summary.index.names if name != "system"]).transform("max")
    texts = []
    for (mean, low, high, apart), top in zip(_rows(summary), (100 * best).tolist(), strict=True):
        shown = rf"\textbf{{{mean:.1f}}}" if mean == top else f"{mean:.1f}"
        texts.append(shown + (rf" {{\scriptsize$[{low:+.1f}, {high:+.1f}]$}}" if apart else ""))
    wide = _wide(pd.Series(texts, index=summary.index))
    names = [str(name) for name in wide.index.names]
    head = " & ".join(name.translate(_SPECIAL) for name in [*names, *wide.columns])
    lines = [
        rf"% in percent; in brackets the {100 * level:g} percent paired interval of the difference from {baseline}",
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(wide.columns)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
    ]
    for key, cells in zip(wide.index.tolist(), wide.to_numpy().tolist(), strict=True):
        labels = [str(label).translate(_SPECIAL) for label in (key if isinstance(key, tuple) else (key,))]
        lines.append(rf"{' & '.join([*labels, *cells])} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _rows(summary: pd.DataFrame) -> list[tuple[float, float, float, bool]]:
    """Return mean, ends of the difference, in percent, and whether there is any."""
    columns = summary[["mean", "difference_low", "difference_high", "difference"]].to_numpy(float)
    return [(100 * mean, 100 * low, 100 * high, any((low, high, apart))) for mean, low, high, apart in columns.tolist()]


def _wide(cells: pd.Series[str]) -> pd.DataFrame:
    metrics = list(dict.fromkeys(cells.index.get_level_values("metric")))
    wide = cells.unstack("metric", sort=False)
    wide.columns.name = None
    return wide[metrics]
