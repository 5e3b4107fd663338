"""How well rankings find what is known to be relevant: the measures of ``ir-measures``, question by question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import ir_measures

from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    from ir_measures.measures import Measure

__all__ = ["METRICS", "per_query"]

METRICS: Final = ("R@5", "R@10", "R@25", "R@50", "recall_all@5", "recall_all@10", "nDCG@10", "RR")
"""What an evaluation reports unless told otherwise; the mean of RR is the MRR."""

_ALL: Final = re.compile(r"recall_all@([1-9][0-9]{0,6})")


def per_query(
    rankings: Mapping[str, Sequence[str]],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Iterable[str] = METRICS,
) -> dict[str, dict[str, float]]:
    r"""Return each measure of each ranking.

    .. math:: \mathrm{R@}k = \frac{|E \cap T_k|}{|E|}, \quad \mathrm{recall\_all@}k = [E \subseteq T_k], \quad
              \mathrm{RR} = \frac{1}{\min_{e \in E} \mathrm{rank}(e)}, \quad
              \mathrm{nDCG@}k = \frac{\sum_{i \le k} g_i / \log_2(i + 1)}{\sum_{i \le k} g^*_i / \log_2(i + 1)}

    with E what is relevant, :math:`T_k` the first k of the ranking, ranks from 1, :math:`g_i` the label of the i-th of
    the ranking and :math:`g^*_i` the i-th greatest label.

    Parameters
    ----------
    rankings : mapping of str to sequence of str
        The ids that were found for each question, best first. A question without a ranking found nothing.
    qrels : mapping of str to mapping of str to int
        The label of each id that is known to be relevant, >= 1, for each question.
    metrics : iterable of str
        ``recall_all@K``, or any measure of ``ir_measures``: ``R@5``, ``nDCG@10``, ``RR``, ``P@1``, ``AP``.

    Returns
    -------
    dict of str to dict of str to float
        For each question of ``qrels``, in its order, each measure in the order given.

    Raises
    ------
    InvalidParameterError
        For a measure that is unknown, a ranking that names an id twice, a label below 1, or a question for which
        nothing is relevant: its recall is undefined, and not 1.

    Notes
    -----
    The order of a ranking is what counts: no ties are broken. Laws: ``property_tests/lab/test_metrics.py``.

    Examples
    --------
    >>> found = per_query({"q1": ["a", "x", "b"]}, {"q1": {"a": 1, "b": 1, "c": 1}}, ["R@2", "recall_all@5", "RR"])
    >>> {name: round(value, 3) for name, value in found["q1"].items()}
    {'R@2': 0.333, 'recall_all@5': 0.0, 'RR': 1.0}
    """
    measures = {name: _measure(name) for name in metrics}
    for question, relevant in qrels.items():
        if not relevant or any(label < 1 for label in relevant.values()):
            raise InvalidParameterError(
                "qrels", {question: dict(relevant)}, "must name something relevant for each question, with labels >= 1"
            )
    for question, ids in rankings.items():
        if len(set(ids)) != len(ids):
            raise InvalidParameterError("rankings", question, "must name no id twice for a question")
    found: dict[str, dict[Any, float]] = {question: {} for question in qrels}
    if qrels and measures:
        judged = [ir_measures.Qrel(q, id, label) for q, relevant in qrels.items() for id, label in relevant.items()]
        ranked = [
            ir_measures.ScoredDoc(q, id, -float(rank))  # scores that fall with the rank, so that no tie is left
            for q, ids in rankings.items()
            if q in qrels
            for rank, id in enumerate(ids)
        ]
        for value in ir_measures.iter_calc(list(dict.fromkeys(measures.values())), judged, ranked):
            found[value.query_id][value.measure] = float(value.value)
    return {
        question: {
            name: float(values[measure] >= 1.0) if _ALL.fullmatch(name) else values[measure]
            for name, measure in measures.items()
        }
        for question, values in found.items()
    }


def _measure(name: str) -> Measure:
    if (whole := _ALL.fullmatch(name)) is not None:
        return ir_measures.R @ int(whole[1])
    known = ir_measures.measures.registry  # its own parser reads syntax trees in a way that Python 3.14 has no more
    base, at, cutoff = name.partition("@")
    if base not in known or (at and not (cutoff.isdecimal() and int(cutoff) >= 1)):
        raise InvalidParameterError(
            "metrics", name, f"must be recall_all@K or a measure of ir_measures, such as {', '.join(METRICS[:1])}"
        )
    measure: Measure = known[base] @ int(cutoff) if at else known[base]
    return measure
