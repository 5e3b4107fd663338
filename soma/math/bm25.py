"""BM25: how well the words of a text answer those of a query, over a collection of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, non_negative, unit_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Postings", "bm25", "shares"]

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
    [0.2474, 0.5162, 0.3241]
    """
    length = non_negative("lengths", lengths)
    scores = np.zeros(length.shape)
    for rows, share in _shares(postings, asked, length, k1, b, having):
        scores[rows] += share
    return scores


def shares(
    postings: Sequence[Postings],
    asked: Sequence[int],
    lengths: ArrayLike,
    rows: ArrayLike,
    *,
    k1: float = 0.9,
    b: float = 0.4,
    having: Sequence[int] | None = None,
) -> FloatArray:
    """Return what each word adds to the `bm25` score of some of the texts.

    Parameters
    ----------
    postings, asked, lengths, k1, b, having
        As of `bm25`.
    rows : array_like of int, shape (k,)
        Which texts.

    Returns
    -------
    ndarray of float64, shape (m, k)
        Added up from the first word to the last they are the scores, bit for bit.

    Raises
    ------
    InvalidParameterError
        As `bm25`.

    Examples
    --------
    >>> postings = [(np.array([0, 2]), np.array([1, 2])), (np.array([1, 2]), np.array([1, 1]))]
    >>> shares(postings, [1, 1], [3, 3, 3], [2, 0]).round(4).tolist()
    [[0.3241, 0.2474], [0.2474, 0.0]]
    """
    length = non_negative("lengths", lengths)
    chosen = np.asarray(rows, dtype=np.intp)
    found = np.zeros((len(postings), len(chosen)))
    for i, (having_rows, share) in enumerate(_shares(postings, asked, length, k1, b, having)):
        whole = np.zeros(length.shape)
        whole[having_rows] = share
        found[i] = whole[chosen]
    return found


def _shares(
    postings: Sequence[Postings],
    asked: Sequence[int],
    length: FloatArray,
    k1: float,
    b: float,
    having: Sequence[int] | None,
) -> Iterator[tuple[NDArray[np.intp], FloatArray]]:
    """Yield for each word the rows that have it and what it adds to their scores."""
    k1, b = float(non_negative("k1", k1)), float(unit_interval("b", b))
    having = [len(rows) for rows, _ in postings] if having is None else having
    if not len(postings) == len(asked) == len(having):
        raise InvalidParameterError("asked", len(asked), f"must have the length {len(postings)}, as postings has")
    if not length.size:
        return
    mean = float(np.sort(length).sum()) / len(length)  # sorted, the sum has the same bits in any order of the rows
    slowness = k1 * (1.0 - b + b * (length / mean)) if mean else length
    for (rows, counts), times, n in zip(postings, asked, having, strict=True):
        rarity = np.log1p((len(length) - n + 0.5) / (n + 0.5))
        yield rows, times * rarity * (counts / (counts + slowness[rows]))
