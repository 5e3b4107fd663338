"""The systems that are measured: each takes a task in and answers its queries, by row numbers, best first.

Peers are given the weights of the rows at the time of the query for nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.bench.recall_task import SCALE, SPAN_S, RecallTask
from soma.math.importance import Bounded
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.stores.rows import IndexRow
from soma.stores.segment_files import SegmentFiles
from soma.stores.vectors_memory import ExactIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SYSTEMS", "Ready", "System", "installed"]

_CANDIDATES: Final = 100
_LAB: Final = Namespace("bench", dimension=1, importance_scale=Bounded(0.0, float(SCALE)))


@dataclass(frozen=True, slots=True)
class Ready:
    """A system that has taken the rows in.

    Parameters
    ----------
    ask : callable
        From the number of a query to the rows found, best first.
    visited : callable
        From the number of a query to the share of the rows that were read; None if that is not known.
    bytes_per_row : float or None
        Memory that must stay at hand.
    """

    ask: Callable[[int], list[int]]
    visited: Callable[[int], float | None]
    bytes_per_row: float | None


@dataclass(frozen=True, slots=True)
class System:
    """A system by name.

    Parameters
    ----------
    name : str
        As it is printed.
    package : str
        What must be installed, as it is imported.
    distribution : str
        The package as it is installed: its version is stated.
    prepare : callable
        Takes a task in; files may lie in a folder that it is given.
    is_exact : bool
        Whether it means to find the best; others state their recall.
    """

    name: str
    package: str
    distribution: str
    prepare: Callable[[RecallTask, Path], Ready]
    is_exact: bool = True

    @property
    def version(self) -> str:
        """The version that is installed."""
        return version(self.distribution)


def installed() -> list[System]:
    """Return the systems whose packages are there."""
    return [system for system in SYSTEMS.values() if find_spec(system.package) is not None]


def _soma(task: RecallTask, scratch: Path, *, is_compiled: bool) -> Ready:
    files = SegmentFiles(scratch, {})
    index = ExactIndex(task.setting.dimension, is_compiled=is_compiled, files=files)
    rows = [
        IndexRow(UUID(int=i), time_s, time_s, importance, "episodic", None, (), b"")
        for i, (time_s, importance) in enumerate(zip(task.time_s.tolist(), task.importance.tolist(), strict=True))
    ]
    index.upsert(rows, list(task.vectors), 1)
    index.follow("bench", 1)
    index.save()  # as a store is after it was opened again: exact rows lie in files, and codes in memory
    queries = [Query(embedding=query) for query in task.queries]
    policy, k, keep = task.setting.policy, task.setting.k, Filter.of()

    def search(i: int) -> Any:
        return index.search(queries[i], policy, _LAB, SPAN_S, k, keep)

    search(0)
    held = index.n_bytes
    in_memory = held["in memory"] if is_compiled else sum(held.values())
    return Ready(
        lambda i: [id.int for id in search(i).ids],
        lambda i: float(search(i).n_visited) / task.setting.n,
        in_memory / task.setting.n,
    )


def _weighted(scores: NDArray[Any], weights: NDArray[Any], k: int) -> list[int]:
    scores = np.maximum(scores, 0.0) * weights
    best = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
    rows: list[int] = best[np.argsort(-scores[best], kind="stable")].tolist()
    return rows


def _brute(task: RecallTask, products: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Ready:
    weights, k = task.weights.astype(np.float32), task.setting.k
    return Ready(
        lambda i: _weighted(products(task.queries[i]), weights, k), lambda _: 1.0, 4.0 * task.setting.dimension
    )


def _numpy(task: RecallTask, _scratch: Path) -> Ready:
    vectors = np.array(task.vectors)
    return _brute(task, lambda query: vectors @ query)


def _numba(task: RecallTask, _scratch: Path) -> Ready:
    from soma.bench.fused_scan import fused_scan  # noqa: PLC0415 - compiled when it is asked for

    vectors, weights, k = np.array(task.vectors), task.weights.astype(np.float32), task.setting.k
    return Ready(
        lambda i: fused_scan(vectors, np.array(task.queries[i]), weights, k).tolist(),
        lambda _: 1.0,
        4.0 * task.setting.dimension,
    )


def _faiss(task: RecallTask, _scratch: Path) -> Ready:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    n, d, k = task.setting.n, task.setting.dimension, task.setting.k
    queries = np.array(task.queries)
    if not task.setting.decays:
        index = faiss.IndexFlatIP(d)
        index.add(np.array(task.vectors))
        return Ready(lambda i: index.search(queries[i : i + 1], k)[1][0].tolist(), lambda _: 1.0, 4.0 * d)
    vectors, scores = np.array(task.vectors), np.empty(n, dtype=np.float32)

    def products(query: NDArray[np.float32]) -> NDArray[np.float32]:
        one = np.array(query)  # pointers keep nothing alive: each array has a name for as long as it is needed
        faiss.fvec_inner_products_ny(*map(faiss.swig_ptr, (scores, one, vectors)), d, n)
        return scores

    return _brute(task, products)


def _sklearn(task: RecallTask, _scratch: Path) -> Ready:
    neighbors = importlib.import_module("sklearn.neighbors")
    k, weights = task.setting.k, task.weights
    model = neighbors.NearestNeighbors(n_neighbors=min(task.setting.n, 2 * k), algorithm="brute", n_jobs=1)
    # the largest weighted product is the least distance to a row made longer, so that all are equally long
    scaled = task.vectors * task.weights[:, None].astype(np.float32)
    length = np.einsum("ij,ij->i", scaled, scaled)
    model.fit(np.column_stack([scaled, np.sqrt(length.max() - length)]))
    queries = np.column_stack([task.queries, np.zeros(len(task.queries), dtype=np.float32)])

    def ask(i: int) -> list[int]:
        rows = model.kneighbors(queries[i : i + 1], return_distance=False)[0]  # by distances that round: too many
        chosen: list[int] = rows[_weighted(task.vectors[rows] @ task.queries[i], weights[rows], k)].tolist()
        return chosen

    return Ready(ask, lambda _: 1.0, 4.0 * (task.setting.dimension + 1))


def _usearch(task: RecallTask, _scratch: Path) -> Ready:
    usearch = importlib.import_module("usearch.index")
    if not task.setting.decays:
        vectors, queries = np.array(task.vectors), np.array(task.queries)
        return Ready(
            lambda i: usearch.search(vectors, queries[i], task.setting.k, "ip", exact=True, threads=1).keys.tolist(),
            lambda _: 1.0,
            4.0 * task.setting.dimension,
        )
    index = usearch.Index(ndim=task.setting.dimension, metric="ip", dtype="f32")
    index.add(np.arange(task.setting.n), np.array(task.vectors), threads=2)

    def near(query: NDArray[np.float32], count: int) -> tuple[Any, Any]:
        found = index.search(query, count, threads=1)
        return found.keys.astype(np.int64), 1.0 - found.distances

    return _of_candidates(task, near, index.memory_usage / task.setting.n)


def _hnswlib(task: RecallTask, _scratch: Path) -> Ready:
    hnswlib = importlib.import_module("hnswlib")
    index = hnswlib.Index(space="ip", dim=task.setting.dimension)
    index.init_index(max_elements=task.setting.n, ef_construction=100, M=16)
    index.add_items(np.array(task.vectors), num_threads=2)
    index.set_ef(2 * _CANDIDATES)
    index.set_num_threads(1)

    def near(query: NDArray[np.float32], count: int) -> tuple[Any, Any]:
        labels, distances = index.knn_query(query, k=count)
        return labels[0].astype(np.int64), 1.0 - distances[0]

    return _of_candidates(task, near, index.index_file_size() / task.setting.n)


def _qdrant_edge(task: RecallTask, scratch: Path) -> Ready:
    edge = importlib.import_module("qdrant_edge")
    scratch.mkdir()
    vectors = edge.EdgeVectorParams(size=task.setting.dimension, distance=edge.Distance.Dot)
    graph = edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=1, max_indexing_threads=2)
    shard = edge.EdgeShard.create(str(scratch), edge.EdgeConfig(vectors=vectors, hnsw_config=graph))
    weights, k, n = task.weights, task.setting.k, task.setting.n
    for first in range(0, n, 1_000):
        rows = range(first, min(n, first + 1_000))
        points = [edge.Point(i, task.vectors[i].tolist(), {"weight": float(weights[i])}) for i in rows]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    times_weight = edge.Expression.Mult([edge.Expression.Variable("$score"), edge.Expression.Variable("weight")])
    formula, params = edge.Formula(times_weight), edge.SearchParams(hnsw_ef=2 * _CANDIDATES)

    def ask(i: int) -> list[int]:
        nearest = edge.Query.Nearest(task.queries[i].tolist())
        near = edge.Prefetch(_CANDIDATES, query=nearest, params=params)
        return [int(hit.id) for hit in shard.query(edge.QueryRequest(k, query=formula, prefetches=[near]))]

    return Ready(ask, lambda _: None, None)


def _of_candidates(
    task: RecallTask, near: Callable[[NDArray[np.float32], int], tuple[Any, Any]], bytes_per_row: float
) -> Ready:
    """Take the nearest few, and rank those by their weighted scores: what a graph of neighbours can do."""
    weights, k = task.weights, task.setting.k
    count = min(task.setting.n, _CANDIDATES if task.setting.decays else k)

    def ask(i: int) -> list[int]:
        rows, scores = near(np.array(task.queries[i]), count)
        chosen: list[int] = rows[_weighted(scores, weights[rows], k)].tolist()
        return chosen

    return Ready(ask, lambda _: None, bytes_per_row)


SYSTEMS: Final = {
    system.name: system
    for system in (
        System("soma (fast)", "numba", "soma-fractal-memory", partial(_soma, is_compiled=True)),
        System("soma (numpy)", "numpy", "soma-fractal-memory", partial(_soma, is_compiled=False)),
        System("numpy", "numpy", "numpy", _numpy),
        System("numba", "numba", "numba", _numba),
        System("faiss", "faiss", "faiss-cpu", _faiss),
        System("scikit-learn", "sklearn", "scikit-learn", _sklearn),
        System("usearch", "usearch", "usearch", _usearch, is_exact=False),
        System("hnswlib", "hnswlib", "hnswlib", _hnswlib, is_exact=False),
        System("qdrant-edge", "qdrant_edge", "qdrant-edge-py", _qdrant_edge, is_exact=False),
    )
}
"""By name. Those that are not exact take the 100 nearest rows from a graph and rank these by their scores."""
