"""The Qdrant engine in the process: one folder, one shard, one owner at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from soma.errors import ConfigurationError, StoreBusyError, StoreError
from soma.stores.qdrant_engine import ABOUT_ID, About, Place, PointOf, State, other_model

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge
    from numpy.typing import NDArray

__all__ = ["EdgeEngine"]

FLUSHED: Final = 10_000
"""Points after which the engine's journal is made into segments, so that it does not grow."""
WAIT_S: Final = 2.0
"""How long an opening waits for the one before to end."""
RETRY_AFTER_S: Final = 1.0
READ: Final = 1_000
FREE: Final = 64 * 2**20
"""Bytes that the disk must have left: the engine writes to mapped files, and where there is no room it dies of that."""


class EdgeEngine:
    """The points of one place in a folder, by the engine itself (package ``qdrant-edge-py``).

    Its journal survives ``kill -9``. The folder belongs to one opening at a time, in this process or another: a file
    beside it is locked before the engine is asked, which reads and mends segments before it locks them itself, and so
    takes from its owner what is being flushed. No graph is built: searches are exact, and read every vector.

    Parameters
    ----------
    folder : Path
        In which the place has a folder of its own; made if it is not there.
    place : Place
        Whose vectors.
    remedy : str
        The command that makes them again, for errors.

    Raises
    ------
    ConfigurationError
        If the package is missing, or there are vectors by another model, and none by this one.
    StoreBusyError
        If the folder is open already.
    StoreError
        If the folder cannot be used.

    Notes
    -----
    Laws: ``property_tests/stores/test_vector_indexes.py``, ``test_qdrant_refusals.py``.
    """

    is_shared: Final = False

    def __init__(self, folder: Path, place: Place, *, remedy: str, is_new: bool = False) -> None:
        self.place = place
        self.folder = folder / place.name
        self.where = str(self.folder)
        self._parent = folder
        self._n_put = 0
        self._edge = _driver()
        self._shard: qdrant_edge.EdgeShard | None = None
        self._lock: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder, WAIT_S)
            if not self.folder.exists():
                if self._siblings() and not is_new:
                    raise other_model(self.where, place, remedy)
                self._make()
            self._shard = self._load()
            if not is_new:
                self.drop_siblings()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise StoreError(
                    f"{folder} cannot hold vectors ({error.strerror}): correct SOMA_QDRANT_PATH, or unset it"
                ) from error
            raise

    def _make(self) -> None:
        """Make an empty shard beside its place, and move it there whole."""
        edge, making = self._edge, self.folder.with_name(f"{self.folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        self._require_room()
        vectors = edge.EdgeVectorParams(size=self.place.dimension, distance=edge.Distance.Dot)
        no_graph = edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=1)
        with self._translated():
            shard = edge.EdgeShard.create(str(making), edge.EdgeConfig(vectors=vectors, hnsw_config=no_graph))
            for name in ("state", "type", "tags"):  # a search that is narrowed by them is ten times faster
                shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))
            shard.close()
        making.rename(self.folder)

    def _load(self) -> qdrant_edge.EdgeShard:
        with self._translated():
            shard: qdrant_edge.EdgeShard = self._edge.EdgeShard.load(str(self.folder))
            return shard

    def about(self) -> About:
        """Return what the points are."""
        with self._translated():
            found = self._open.retrieve([ABOUT_ID], with_payload=True, with_vector=False)
        return About.from_payload(found[0].payload or {}) if found else About.of(self.place)

    def put(self, points: Sequence[PointOf], position: int) -> None:
        """Put at most ``BATCH`` points in, as of a log position, but for those that hold a later one."""
        edge = self._edge
        not_later = edge.Filter(must=[edge.FieldCondition("position", range=edge.RangeFloat(lte=position))])
        made = [edge.Point(point.id, point.vector, point.payload) for point in points]
        self._require_room()
        with self._translated():
            self._open.update(edge.UpdateOperation.upsert_points(made, not_later))
        self._n_put += len(points)
        if self._n_put >= FLUSHED:
            self._n_put = 0
            with self._translated():
                self._open.flush()

    def nearest(
        self, vector: NDArray[np.float32], limit: int, memory_type: str | None, tags: Iterable[str]
    ) -> list[tuple[UUID, float]]:
        """Return the live memories of the greatest products with a vector, falling."""
        edge = self._edge
        request = edge.SearchRequest(
            query=edge.Query.Nearest(vector.tolist()),
            limit=limit,
            filter=self._live(memory_type, tags),
            params=edge.SearchParams(exact=True),
            with_payload=False,
            with_vector=False,
        )
        with self._translated():
            return [(_uuid(point.id), point.score) for point in self._open.search(request)]

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, list[float]]:
        """Return the vectors of those that are there."""
        found: dict[UUID, list[float]] = {}
        for start in range(0, len(ids), READ):
            with self._translated():
                page = self._open.retrieve(list(ids[start : start + READ]), with_payload=False, with_vector=True)
            found.update((_uuid(point.id), point.vector) for point in page)  # type: ignore[misc]
        return found

    def count_live(self) -> int:
        """Return how many memories are live."""
        with self._translated():
            return self._open.count(self._edge.CountRequest(exact=True, filter=self._live(None, ())))

    def is_beyond(self, position: int) -> bool:
        """Whether any point is as of a later position."""
        edge = self._edge
        later = edge.FieldCondition("position", range=edge.RangeFloat(gt=position))
        with self._translated():
            return bool(self._open.count(edge.CountRequest(exact=True, filter=edge.Filter(must=[later]))))

    def clear(self) -> None:
        """Take everything out: an empty shard in the place of this one."""
        self._close_shard()
        shutil.rmtree(self.folder)
        self._make()
        self._shard = self._load()

    def drop_siblings(self) -> None:
        """Remove what other revisions have left of the same namespace, but for what somebody has open."""
        for folder in self._siblings():
            with suppress(StoreBusyError):
                lock = _locked(folder, 0.0)
                try:
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)

    def close(self) -> None:
        """Release the folder; closing twice is allowed."""
        try:
            self._close_shard()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _close_shard(self) -> None:
        if self._shard is not None:
            shard, self._shard = self._shard, None
            with self._translated():
                shard.close()

    def _require_room(self) -> None:
        free = shutil.disk_usage(self._parent).free
        if free < FREE:
            raise StoreError(
                f"the disk of {self.where} has {free >> 20} MiB left, and the Qdrant engine needs {FREE >> 20}: make "
                f"room; what was stored is safe in the log"
            )

    @property
    def _open(self) -> qdrant_edge.EdgeShard:
        if self._shard is None:
            raise StoreError(f"the vectors in {self.where} were closed: open the memory again")
        return self._shard

    def _siblings(self) -> list[Path]:
        return [folder for folder in self._parent.iterdir() if self.place.is_sibling(folder.name)]

    def _live(self, memory_type: str | None, tags: Iterable[str]) -> qdrant_edge.Filter:
        edge = self._edge
        wanted = [("state", State.LIVE), *(("tags", tag) for tag in sorted(tags))]
        if memory_type is not None:
            wanted.append(("type", memory_type))
        conditions = [edge.FieldCondition(name, match=edge.MatchValue(value)) for name, value in wanted]
        found: qdrant_edge.Filter = edge.Filter(must=conditions)
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the engine raises nothing more particular
            raise StoreError(
                f"the Qdrant engine failed on {self.where} ({error}): remove that folder, and it is filled again from "
                f"the log"
            ) from error


def _locked(folder: Path, wait_s: float) -> int:
    """Return a descriptor that holds the lock of a folder until it is closed, or the process ends."""
    lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline_s:
                time.sleep(0.02)
                continue
            os.close(lock)
            raise StoreBusyError(
                f"the vectors in {folder} are open already, here or in another process: close them there, or share "
                f"them through a server (SOMA_QDRANT_URL)",
                RETRY_AFTER_S,
            ) from None
        return lock


def _driver() -> Any:
    try:
        import qdrant_edge  # noqa: PLC0415 - loaded where it is configured alone
    except ModuleNotFoundError:
        raise ConfigurationError(
            "SOMA_QDRANT_PATH needs the package qdrant-edge-py", 'pip install "soma-fractal-memory[qdrant]"'
        ) from None
    return qdrant_edge


def _uuid(id: Any) -> UUID:
    return id if isinstance(id, UUID) else UUID(str(id))
