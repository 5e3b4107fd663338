"""Every vector index keeps one contract, and a wrong one is convicted by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import QdrantClient

from property_tests.stores.indexes import IMITATED, edge_index, imitated_index
from soma.state.query import Filter
from soma.stores.protocols import VectorIndex
from soma.stores.qdrant_edge import EdgeEngine
from soma.stores.qdrant_engine import Place, PointOf
from soma.stores.rows import IndexRow
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex
from soma.testing.indexes import DIMENSION, check_vector_index

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]


def places() -> tuple[Callable[[], Place], Callable[[], Place]]:
    """Return a maker of places, and what returns the last one again."""
    numbers, last = itertools.count(), [Place("", "", "", 0)]

    def new() -> Place:
        last[0] = Place(f"{next(numbers):032x}", "lab", "test", DIMENSION)
        return last[0]

    return new, lambda: last[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_exact_index_keeps_the_contract(seed: int) -> None:
    check_vector_index(lambda: ExactIndex(DIMENSION), seed=seed, n_memories=1_500)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_qdrant_engine_keeps_the_contract(swift_path: Path, seed: int) -> None:
    new, last = places()
    check_vector_index(
        lambda: edge_index(swift_path, new()), lambda: edge_index(swift_path, last()), seed=seed, n_memories=700
    )


def test_an_imitated_qdrant_server_keeps_the_contract() -> None:
    client = QdrantClient(":memory:")
    new, last = places()
    check_vector_index(lambda: imitated_index(client, new()), lambda: imitated_index(client, last()), n_memories=150)


# An index that is wrong is found out


class Approximate(ExactIndex):
    """Knows no filter."""

    def search(self, query, policy, namespace, now_s, k, keep):  # type: ignore[no-untyped-def]
        return super().search(query, policy, namespace, now_s, k, Filter())


class Forgetful(ExactIndex):
    """Takes out nothing that it is told to."""

    def remove(self, ids: Iterable[UUID], position: int) -> None:
        pass


class Unguarded(EdgeEngine):
    """Lets whoever comes last win."""

    def put(self, points: Sequence[PointOf], position: int) -> None:
        super().put(points, 2**52)


class Careless(EdgeEngine):
    """Passes over the second nearest."""

    def nearest(self, vector, limit, memory_type, tags):  # type: ignore[no-untyped-def]
        found = super().nearest(vector, limit + 1, memory_type, tags)
        return [*found[:1], *found[2:]]


class Trusting(QdrantIndex):
    """Believes that what was removed is gone, without a grave."""

    def remove(self, ids: Iterable[UUID], position: int) -> None:
        gone = list(ids)
        edge = self.engine._edge  # type: ignore[attr-defined]
        self.engine._open.update(edge.UpdateOperation.delete_points(gone))  # type: ignore[attr-defined]
        self._columns.drop(gone)


@pytest.mark.parametrize("kind", [Approximate, Forgetful])
def test_an_index_in_memory_that_is_wrong_is_convicted(kind: type[ExactIndex]) -> None:
    with pytest.raises(AssertionError):
        check_vector_index(lambda: kind(DIMENSION))


@pytest.mark.parametrize("kind", [Unguarded, Careless])
def test_an_engine_that_is_wrong_is_convicted(swift_path: Path, kind: type[EdgeEngine]) -> None:
    new, last = places()

    def opened(place: Place) -> VectorIndex:
        return QdrantIndex(kind(swift_path, place, remedy=""), remedy="")

    with pytest.raises((AssertionError, RuntimeError)):
        check_vector_index(lambda: opened(new()), lambda: opened(last()), n_memories=300)


def test_an_index_that_digs_no_graves_is_convicted(swift_path: Path) -> None:
    new, last = places()

    def opened(place: Place) -> VectorIndex:
        return Trusting(EdgeEngine(swift_path, place, remedy=""), remedy="")

    with pytest.raises((AssertionError, RuntimeError)):
        check_vector_index(lambda: opened(new()), lambda: opened(last()), n_memories=100)


def test_rows_and_vectors_of_different_lengths_are_refused(swift_path: Path) -> None:
    row = IndexRow(UUID(int=1), 0.0, 0.0, 1, "episodic", None, (), b"")
    index = edge_index(swift_path, Place("c", "lab", "test", DIMENSION))
    with pytest.raises(ValueError, match="zip"):
        index.upsert([row, row], [np.zeros(DIMENSION, dtype=np.float32)], 1)
    index.close()
