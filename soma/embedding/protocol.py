"""What an embedder is: a named, pure function from texts to unit vectors, and what each of them checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Embedder", "Embedding", "checked_texts"]

Embedding: TypeAlias = "NDArray[np.float32]"

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@runtime_checkable
class Embedder(Protocol):
    """A pure function from texts to unit vectors.

    The vector of a text depends on that text and on ``revision`` alone: not on the batch it came in, the
    thread, the process or the time. Two embedders of one ``revision`` are the same function, so vectors
    may be compared exactly where their revisions are equal.

    Notes
    -----
    Laws: ``property_tests/stores/test_embedding.py``.
    """

    @property
    def name(self) -> str:
        """The family, for people: ``"hashing"``."""
        ...

    @property
    def revision(self) -> str:
        """The exact function, stored as ``model_revision`` with every vector."""
        ...

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Embedding:
        r"""Return one unit vector per text.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text; a lone surrogate counts as U+FFFD.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Rows of Euclidean length 1; a row of zeros for a text without any feature (blank text at least).

        Raises
        ------
        InvalidParameterError
            If ``texts`` is one string, or holds anything but strings.
        """
        ...


def checked_texts(texts: Sequence[str]) -> list[str]:
    r"""Return ``texts`` as a list in which no string holds a lone surrogate.

    Parameters
    ----------
    texts : sequence of str, length n
        A single string is refused: it would be embedded letter by letter.

    Returns
    -------
    list of str, length n
        Equal to ``texts``, except that each lone surrogate, which is no character and has no UTF-8 form,
        became U+FFFD.

    Raises
    ------
    InvalidParameterError
        If ``texts`` is one string, or holds anything but strings.

    Notes
    -----
    Laws: ``property_tests/stores/test_embedding.py``.

    Examples
    --------
    >>> checked_texts(("a", "b\ud800")) == ["a", "b\ufffd"]
    True
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise InvalidParameterError("texts", texts, "must be a sequence of strings")
    checked = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidParameterError(f"texts[{index}]", text, "must be a string")
        checked.append(text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text))
    return checked
