"""BM25: how well the words of a text answer those of a query, over a collection of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, non_negative, unit_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Postings", "bm25"]

Postings: TypeAlias = "tuple[NDArray[np.intp], NDArray[Any]]"
"""The texts that have a word, each once, and how often each has it."""


def bm25(
    postings: Sequence[Postings],
    asked: Sequence[int],
    lengths: ArrayLike,
    *,
    k1: float = 0.9,
    b: float = 0.4,
    having: Sequence[int] | None = None,
) -> FloatArray:
    r"""Return the BM25 score of each text for the words of a query.

    .. math:: \sum_w q_w \ln\left(1 + \frac{N - n_w + 1/2}{n_w + 1/2}\right)
              \frac{f_w}{f_w + k_1 (1 - b + b\, L / \bar L)}

    with :math:`q_w` how often the query has the word, :math:`n_w` how many of the :math:`N` texts do, :math:`f_w` how
    often the text does, :math:`L` its length in words and :math:`\bar L` the mean of these.

    Parameters
    ----------
    postings : sequence of (ndarray of int, ndarray of int), length m
        For each distinct word of the query: the rows of the texts that have it, each once, and how often. A text may
        have a word by a fraction, and be as long.
    asked : sequence of int, length m
        How often the query has each word, >= 1.
    lengths : array_like, shape (n,)
        How many words each text has, >= 0.
    k1 : float, default 0.9
        How late a repeated word stops counting, >= 0; at 0 it counts once.
    b : float, default 0.4
        How much a text's length is held against it, in [0, 1].
    having : sequence of int, length m, optional
        How many texts count as having each word, if not those of its postings.

    Returns
    -------
    ndarray of float64, shape (n,)
        >= 0; 0 for a text without any of the words. A sum in the order of ``postings``: whoever gives the words in one
        order gets the same bits, however the postings are kept.

    Raises
    ------
    InvalidParameterError
        For a constant or a length outside its domain, or lists of different lengths.

    Notes
    -----
    Source: Robertson and Zaragoza, The probabilistic relevance framework, 2009; this is the form of Lucene 8, whose
    :math:`\mathrm{idf}` is never negative and which leaves out the constant factor :math:`k_1 + 1`.

    Laws: ``property_tests/math/test_bm25.py``.

    Examples
    --------
    >>> postings = [(np.array([0, 2]), np.array([1, 2])), (np.array([1]), np.array([1]))]
    >>> bm25(postings, [1, 1], [3, 3, 3]).round(4).tolist()
    [0.2136, 0.4458, 0.2938]
    """
    k1 = float(non_negative("k1", k1))
    b = float(unit_interval("b", b))
    if len(postings) != len(asked):
        raise InvalidParameterError("asked", len(asked), f"must have the length {len(postings)}, as postings has")
    length = non_negative("lengths", lengths)
    scores = np.zeros(length.shape)
    total = math.fsum(length)  # the same in any order
    if total == 0.0:
        return scores
    slowness = k1 * (1.0 - b + b * (length / (total / len(length))))
    for (rows, counts), times, n in zip(postings, asked, having or [len(rows) for rows, _ in postings], strict=True):
        rarity = np.log1p((len(length) - n + 0.5) / (n + 0.5))
        scores[rows] += times * rarity * (counts / (counts + slowness[rows]))
    return scores
