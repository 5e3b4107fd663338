"""The contract of an embedder: laws that ours and everybody else's must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soma.embedding.protocol import Embedder
from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_embedder"]

TEXTS = (
    "the clock is slow",
    "Ada repaired the flaky clock test because the timer was read twice in the same second",
    "lunch",
    "Zürich, naïve café, 日本語のテキスト, emoji 🙂",
    "a" * 700,
    "the clock is slow",
    "1 2 3",
)


def check_embedder(embedder: Embedder, texts: Sequence[str] = TEXTS) -> None:
    """Raise AssertionError unless an embedder keeps the contract of `soma.embedding.Embedder`.

    Parameters
    ----------
    embedder : Embedder
        Any.
    texts : sequence of str
        What it is tried on; each must have a vector that is not zero.

    Examples
    --------
    >>> from soma.embedding import HashingEmbedder
    >>> check_embedder(HashingEmbedder())
    """
    assert isinstance(embedder, Embedder), "name, revision, dimension and embed"
    assert embedder.revision, "a revision names the exact function"
    rows = embedder.embed(texts)
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), embedder.dimension)
    assert np.allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1.0, atol=1e-5), "rows of length 1"
    for text, row in zip(texts, rows, strict=True):
        alone = embedder.embed([text])[0]
        assert np.array_equal(alone, row), f"the vector of {text[:40]!r} depends on its batch"
    order = list(reversed(range(len(texts))))
    assert np.array_equal(embedder.embed([texts[i] for i in order]), rows[order]), "in any order"
    assert embedder.embed([]).shape == (0, embedder.dimension)
    assert not embedder.embed(["", " \n\t"]).any(), "a blank text has no direction"
    assert np.array_equal(*embedder.embed(["one\udcfftwo", "one\ufffdtwo"])), "a lone surrogate counts as U+FFFD"
    for wrong in ("one string", [1], None):
        try:
            embedder.embed(wrong)  # type: ignore[arg-type]
        except InvalidParameterError:
            continue
        raise AssertionError(f"{wrong!r} is no sequence of strings")
