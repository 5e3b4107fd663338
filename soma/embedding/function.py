"""An embedding by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soma.embedding.protocol import checked_texts
from soma.errors import ConfigurationError, InvalidParameterError
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.embedding.protocol import Embedding

__all__ = ["FunctionEmbedder"]


@dataclass(frozen=True, slots=True)
class FunctionEmbedder:
    """Embed texts by any function; what it returns is checked and made of length 1.

    Parameters
    ----------
    function : callable
        From a list of n texts, none of them blank, to an array of shape (n, dimension).
    dimension : int
        Length of the vectors, >= 1.
    revision : str
        Names the exact function: whoever changes the function changes it.
    name : str
        The family, for people.

    Raises
    ------
    InvalidParameterError
        For a dimension below 1 or an empty revision.

    Notes
    -----
    Laws: ``property_tests/stores/test_embedders.py``.

    Examples
    --------
    >>> vowels = FunctionEmbedder(
    ...     lambda texts: [[text.count(v) for v in "aeiou"] for text in texts], dimension=5, revision="vowels-v1"
    ... )
    >>> vowels.embed(["banana"]).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0]]
    """

    function: Callable[[list[str]], ArrayLike]
    dimension: int
    revision: str
    name: str = "function"

    def __post_init__(self) -> None:
        if type(self.dimension) is not int or self.dimension < 1:
            raise InvalidParameterError("dimension", self.dimension, "must be an integer >= 1")
        if not isinstance(self.revision, str) or not self.revision.strip():
            raise InvalidParameterError("revision", self.revision, "must name the function")

    def embed(self, texts: Sequence[str]) -> Embedding:
        """Return one unit vector per text; see `Embedder.embed`.

        Parameters
        ----------
        texts : sequence of str, length n
            Any text; a lone surrogate counts as U+FFFD.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
            Unit rows; zeros for blank text.

        Raises
        ------
        InvalidParameterError
            If ``texts`` is one string, or holds anything but strings.
        ConfigurationError
            If the function returns anything but finite numbers of that shape.
        """
        checked = checked_texts(texts)
        embedded = np.zeros((len(checked), self.dimension), dtype=np.float32)
        asked = [row for row, text in enumerate(checked) if text and not text.isspace()]
        if asked:
            try:
                made = np.asarray(self.function([checked[row] for row in asked]), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(
                    f"{self.revision} returns no array of numbers", "return one row a text"
                ) from error
            if made.shape != (len(asked), self.dimension) or not np.isfinite(made).all():
                raise ConfigurationError(
                    f"{self.revision} returns the shape {made.shape}, or a number that is not finite",
                    f"return {self.dimension} finite numbers for each of {len(asked)} texts",
                )
            embedded[asked] = unit_vectors(made)
        return embedded
