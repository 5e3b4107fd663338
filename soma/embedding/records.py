"""From records to the unit vectors that are compared: the record's own where the model is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from soma.embedding.protocol import Embedder, Embedding
    from soma.state.record import MemoryRecord

__all__ = ["record_vectors"]


def record_vectors(embedder: Embedder, records: Sequence[MemoryRecord]) -> Embedding:
    """Return the vector of each record: its precomputed embedding if ``embedder`` made it, else that of its text.

    Parameters
    ----------
    embedder : Embedder
        From texts to vectors.
    records : sequence of MemoryRecord, length n
        What to compare.

    Returns
    -------
    ndarray of float32, shape (n, dimension)
        Unit vectors; each depends on its record alone, to the bit.

    Raises
    ------
    InvalidParameterError
        For a precomputed embedding that has the model's revision and not its dimension.

    Notes
    -----
    Laws: ``property_tests/stores/test_oracle.py``.
    """
    vectors = np.zeros((len(records), embedder.dimension), dtype=np.float32)
    texts = [row for row, record in enumerate(records) if record.model_revision != embedder.revision]
    if texts:
        vectors[texts] = unit_vectors(embedder.embed([records[row].searchable_text for row in texts]))
    for row, record in enumerate(records):
        if record.embedding is not None and record.model_revision == embedder.revision:
            if len(record.embedding) != embedder.dimension:
                raise InvalidParameterError(
                    "embedding",
                    len(record.embedding),
                    f"must have dimension {embedder.dimension} for {embedder.revision}",
                )
            vectors[row] = unit_vectors(record.embedding)
    return vectors
