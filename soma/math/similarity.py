"""How near two memories are: the one cosine kernel, distance, and the overlap of words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["cosine", "euclidean", "lexical_overlap", "nearness", "tokens", "unit_vectors"]

_ASCII_RUN: Final = re.compile(r"[A-Za-z0-9_]+")
_KEPT_WORDS: Final = 2**16
_CHUNK: Final = 2**20  # numbers held as float64 at a time
# what is all capitals; in a mixture runs of capitals and their plural (HTTP, URLs), capitalised and small words
_PART: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z0-9]+(?![A-Za-z0-9])|(?:[A-Z]{2,}s|[A-Z]+)(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+"
)


def unit_vectors(vectors: ArrayLike) -> NDArray[np.float32]:
    r"""Return vectors scaled to length 1, as float32; zero vectors stay zero.

    .. math:: u = x / \lVert x \rVert_2

    Parameters
    ----------
    vectors : array_like, shape (\*batch, d)
        Finite numbers of any size.

    Returns
    -------
    ndarray of float32, shape (\*batch, d)
        In [-1, 1].

    Raises
    ------
    InvalidParameterError
        For numbers that are not finite, or no vector.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> unit_vectors([[3.0, 4.0], [0.0, 0.0]]).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    is_real = isinstance(vectors, np.ndarray) and vectors.dtype.kind == "f"
    array = np.asarray(vectors) if is_real else finite("vectors", vectors)
    if array.ndim == 0:
        raise InvalidParameterError("vectors", vectors, "must have at least one axis")
    if array.ndim == 1 and array.size <= _CHUNK:  # the same steps without the axis: a query has one vector
        exact = finite("vectors", array)
        exact = exact / (float(np.max(np.abs(exact), initial=0.0)) or 1.0)
        return np.asarray(exact / (float(np.sqrt(np.vecdot(exact, exact))) or 1.0), dtype=np.float32)
    rows = array.reshape(prod(array.shape[:-1]), array.shape[-1])
    units = np.empty(rows.shape, dtype=np.float32)
    for chunk in _chunks(*rows.shape):
        # contiguous, so that a row has the same bits however it lies in memory
        block = np.ascontiguousarray(finite("vectors", rows[chunk]))
        # the largest component becomes 1 first, so that no square overflows or vanishes
        largest = np.max(np.abs(block), axis=1, keepdims=True, initial=0.0)
        block /= np.where(largest > 0.0, largest, 1.0)
        length = np.sqrt(np.vecdot(block, block))[:, None]
        units[chunk] = block / np.where(length > 0.0, length, 1.0)
    return units.reshape(array.shape)


def cosine(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> FloatArray:
    r"""Return the cosine of a query to each row: the one kernel that every engine's scores are made with.

    .. math:: c_i = \min(1, \max(-1, q \cdot v_i))

    computed in float64, each row by itself: the bits of a row do not depend on which others are asked, nor in which
    order.

    Parameters
    ----------
    query : ndarray of float32, shape (d,)
        A unit vector, from `unit_vectors`.
    vectors : ndarray of float32, shape (n, d)
        Unit vectors.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [-1, 1]; 0 for zero vectors.

    Raises
    ------
    InvalidParameterError
        For another type of number, or shapes that do not fit.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> cosine(unit_vectors([1.0, 0.0]), unit_vectors([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 0.0]
    """
    for name, array in (("query", query), ("vectors", vectors)):
        if array.dtype != np.float32:
            raise InvalidParameterError(name, array.dtype.name, "must be float32, as unit_vectors gives it")
    _require_fit("vectors", query.shape, vectors.shape)
    target = query.astype(np.float64)
    products = np.empty(len(vectors))
    chunks = _chunks(*vectors.shape)
    # one buffer, again and again: fresh pages cost as much as the products
    buffer = np.empty((chunks[0].stop if chunks else 0, len(query)))
    for chunk in chunks:
        rows = buffer[: chunk.stop - chunk.start]
        np.copyto(rows, vectors[chunk])
        np.vecdot(rows, target, out=products[chunk])
    return np.clip(products, -1.0, 1.0, out=products)


def euclidean(query: ArrayLike, points: ArrayLike) -> FloatArray:
    r"""Return the Euclidean distance of a query to each point.

    .. math:: d_i = \lVert p_i - q \rVert_2

    Parameters
    ----------
    query : array_like, shape (d,)
        A finite point.
    points : array_like, shape (n, d)
        Finite points.

    Returns
    -------
    ndarray of float64, shape (n,)
        >= 0; infinite where the difference is beyond the range of doubles.

    Raises
    ------
    InvalidParameterError
        For numbers that are not finite, or shapes that do not fit.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> euclidean([0.0, 0.0], [[3.0, 4.0]]).tolist()
    [5.0]
    """
    q, p = finite("query", query), finite("points", points)
    _require_fit("points", q.shape, p.shape)
    # hypot, folded over the axes: it neither overflows nor vanishes on the way
    with np.errstate(over="ignore"):
        return np.asarray(np.hypot.reduce(p - q, axis=1))


def nearness(distance: ArrayLike) -> FloatArray:
    r"""Return a similarity that falls with distance: :math:`1 / (1 + d)`.

    Parameters
    ----------
    distance : array_like, shape (\*batch,)
        Distance :math:`d`, >= 0.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        In [0, 1]; 0 only at infinity.

    Raises
    ------
    InvalidParameterError
        For a negative distance, or NaN.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> nearness([0.0, 1.0]).tolist()
    [1.0, 0.5]
    """
    return 1.0 / (1.0 + non_negative("distance", distance))


def tokens(text: str) -> tuple[str, ...]:
    """Return the words of a text, in order, in one form each; identifiers whole and in their parts.

    The form is that of NFKC with case folded. A word is a run of letters, their marks, digits and inner underscores:
    a script that puts no space between words gives one word a run.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    tuple of str
        Words; ``snake_case`` and ``CamelCase`` give themselves, then their parts. Digits part nothing.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> tokens("Fix parseHTML in http_client!")
    ('fix', 'parsehtml', 'parse', 'html', 'in', 'http_client', 'http', 'client')
    """
    if text.isascii():
        runs = _ASCII_RUN.findall(text)
    else:
        normal = unicodedata.normalize("NFKC", text)
        gaps = {ord(character): " " for character in set(normal) if not _is_inner(character)}
        runs = normal.translate(gaps).split()
    return tuple(chain.from_iterable(map(_forms, runs)))


def lexical_overlap(query: Collection[str], document: Collection[str]) -> float:
    r"""Return the share of the distinct words of a query that a document has.

    .. math:: |Q \cap D| / |Q|

    Parameters
    ----------
    query : collection of str
        Words :math:`Q`, from `tokens`.
    document : collection of str
        Words :math:`D`.

    Returns
    -------
    float
        In [0, 1]; 0 if the query has no word.

    Notes
    -----
    Laws: ``property_tests/math/test_similarity.py``.

    Examples
    --------
    >>> lexical_overlap(tokens("flaky clock"), tokens("the clock test"))
    0.5
    """
    asked = set(query)
    return len(asked.intersection(document)) / len(asked) if asked else 0.0


def _chunks(n: int, d: int) -> list[slice]:
    size = max(1, _CHUNK // max(1, d))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _require_fit(parameter: str, one: tuple[int, ...], many: tuple[int, ...]) -> None:
    if len(one) != 1:
        raise InvalidParameterError("query", one, "must have shape (d,)")
    if len(many) != 2 or many[1] != one[0]:
        raise InvalidParameterError(parameter, many, f"must have shape (n, {one[0]})")


def _is_inner(character: str) -> bool:
    # marks are letters' vowels in many scripts
    return character.isalnum() or character == "_" or unicodedata.category(character) in ("Mn", "Mc")


@lru_cache(maxsize=_KEPT_WORDS)
def _forms(run: str) -> tuple[str, ...]:
    """Return a word as it is searched, and its parts if it has any; nothing for marks and lines alone."""
    word = run.strip("_")
    while word and not word[0].isalnum():  # a mark without a letter
        word = word[1:]
    if not word:
        return ()
    parts = _parts(word)
    return tuple(map(_folded, [word, *(parts if len(parts) > 1 else ())]))


def _folded(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word.casefold())


def _parts(word: str) -> list[str]:
    if word.islower() and "_" not in word:
        return [word]
    shape = word if word.isascii() else "".join(map(_shape, word))
    parts = [word[part.start() : part.end()] for part in _PART.finditer(shape)]
    return [part for part in parts if part[0].isalnum()]


def _shape(character: str) -> str:
    if character == "_":
        return "_"
    return "A" if character.isupper() else "0" if character.isdigit() else "a"
