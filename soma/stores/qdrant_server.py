"""A Qdrant server: one collection for each place, which many processes may follow the log into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from soma.errors import ConfigurationError, StoreBusyError, StoreError
from soma.settings import masked
from soma.stores.qdrant_engine import ABOUT_ID, About, Place, PointOf, State, other_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient

__all__ = ["ServerEngine"]

OLDEST: Final = (1, 16)
"""The first version whose upserts take a condition: an older one would ignore it, and lose the guard."""
TIMEOUT_S: Final = 30
RETRY_AFTER_S: Final = 1.0
READ: Final = 1_000


class ServerEngine:
    """The points of one place in a collection of a Qdrant server (package ``qdrant-client``).

    The collection has one replica, since the log can fill it again, and no graph: searches are exact, and read every
    vector.

    Parameters
    ----------
    client : qdrant_client.QdrantClient
        Of the server. Its ``":memory:"`` imitates one, for tests; its ``path`` mode keeps pickles: do not use it.
    place : Place
        Whose vectors.
    where : str
        The server, for people.
    remedy : str
        The command that makes the vectors again, for errors.
    is_new : bool
        Make the collection even if there is one of another model.

    Raises
    ------
    ConfigurationError
        If the server is too old, or holds vectors by another model, and none by this one.
    StoreError
        If the server does not answer.

    Notes
    -----
    Laws: ``property_tests/stores/test_vector_indexes.py``, ``test_qdrant_refusals.py``.
    """

    is_shared: Final = True

    def __init__(self, client: QdrantClient, place: Place, *, where: str, remedy: str, is_new: bool = False) -> None:
        from qdrant_client import models  # noqa: PLC0415 - the driver is there: a client was given

        self.place = place
        self.where = f"{where}, collection {place.name}"
        self._client = client
        self._models = models
        self._is_owner = False
        with self._translated():
            version = str(client.info().version)
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            raise ConfigurationError(
                f"the Qdrant server at {where} is version {version}", "soma needs 1.16 or a later one: upgrade it"
            )
        if not self._exists():
            if self._siblings() and not is_new:
                raise other_model(where, place, remedy)
            self._make()

    @classmethod
    def from_url(cls, url: str, api_key: str | None, place: Place, *, remedy: str, is_new: bool = False) -> Self:
        """Return the place on the server at an address.

        Parameters
        ----------
        url : str
            ``http://`` or ``https://``; without a port, 6333.
        api_key : str or None
            If the server asks for one.
        place, remedy, is_new
            As for the class.
        """
        try:
            from qdrant_client import QdrantClient  # noqa: PLC0415 - loaded where it is configured alone
        except ModuleNotFoundError:
            raise ConfigurationError(
                "SOMA_QDRANT_URL needs the package qdrant-client", 'pip install "soma-fractal-memory[qdrant]"'
            ) from None
        try:
            client = QdrantClient(url=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)
        except ValueError as error:
            raise ConfigurationError(f"SOMA_QDRANT_URL={masked(url)} is no address of a server", str(error)) from None
        try:
            made = cls(client, place, where=f"Qdrant at {masked(url)}", remedy=remedy, is_new=is_new)
        except BaseException:
            client.close()
            raise
        made._is_owner = True
        return made

    def _exists(self) -> bool:
        with self._translated():
            return self._client.collection_exists(self.place.name)

    def _make(self) -> None:
        models = self._models
        try:
            with self._translated():
                self._client.create_collection(
                    self.place.name,
                    vectors_config=models.VectorParams(size=self.place.dimension, distance=models.Distance.DOT),
                    hnsw_config=models.HnswConfigDiff(m=0),
                    replication_factor=1,
                )
        except StoreError:
            if not self._exists():  # else another process was quicker
                raise
        kinds = models.PayloadSchemaType
        for name, kind in (
            ("state", kinds.KEYWORD),
            ("position", kinds.INTEGER),
            ("type", kinds.KEYWORD),
            ("tags", kinds.KEYWORD),
        ):
            with self._translated():
                self._client.create_payload_index(self.place.name, name, kind, wait=True)

    def about(self) -> About:
        """Return what the points are."""
        with self._translated():
            found = self._client.retrieve(self.place.name, [ABOUT_ID], with_payload=True, with_vectors=False)
        return About.from_payload(found[0].payload or {}) if found else About.of(self.place)

    def put(self, points: Sequence[PointOf], position: int) -> None:
        """Put at most ``BATCH`` points in, as of a log position, but for those that hold a later one."""
        models = self._models
        not_later = models.Filter(
            must=[models.FieldCondition(key="position", range=models.Range(lte=float(position)))],
        )
        made = [
            models.PointStruct(
                id=point.id if isinstance(point.id, int) else str(point.id), vector=point.vector, payload=point.payload
            )
            for point in points
        ]
        with self._translated():
            self._client.upsert(self.place.name, made, wait=True, update_filter=not_later)

    def nearest(
        self, vector: NDArray[np.float32], limit: int, memory_type: str | None, tags: Iterable[str]
    ) -> list[tuple[UUID, float]]:
        """Return the live memories of the greatest products with a vector, falling."""
        with self._translated():
            found = self._client.query_points(
                self.place.name,
                query=vector.tolist(),
                limit=limit,
                query_filter=self._live(memory_type, tags),
                search_params=self._models.SearchParams(exact=True),
                with_payload=False,
                with_vectors=False,
            )
        return [(UUID(str(point.id)), point.score) for point in found.points]

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, list[float]]:
        """Return the vectors of those that are there."""
        found: dict[UUID, list[float]] = {}
        for start in range(0, len(ids), READ):
            asked = [str(id) for id in ids[start : start + READ]]
            with self._translated():
                page = self._client.retrieve(self.place.name, asked, with_payload=False, with_vectors=True)
            found.update((UUID(str(point.id)), point.vector) for point in page)  # type: ignore[misc]
        return found

    def count_live(self) -> int:
        """Return how many memories are live."""
        with self._translated():
            return self._client.count(self.place.name, count_filter=self._live(None, ()), exact=True).count

    def is_beyond(self, position: int) -> bool:
        """Whether any point is as of a later position: another process has followed the log further."""
        models = self._models
        later = models.FieldCondition(key="position", range=models.Range(gt=float(position)))
        with self._translated():
            return bool(self._client.count(self.place.name, count_filter=models.Filter(must=[later]), exact=True).count)

    def clear(self) -> None:
        """Take everything out: an empty collection in the place of this one."""
        with self._translated():
            self._client.delete_collection(self.place.name)
        self._make()

    def drop_siblings(self) -> None:
        """Remove what other revisions have left of the same namespace."""
        for name in self._siblings():
            with self._translated():
                self._client.delete_collection(name)

    def close(self) -> None:
        """Release the connection if it is this engine's own; closing twice is allowed."""
        if self._is_owner:
            self._client.close()

    def _siblings(self) -> list[str]:
        with self._translated():
            held = self._client.get_collections().collections
        return [collection.name for collection in held if self.place.is_sibling(collection.name)]

    def _live(self, memory_type: str | None, tags: Iterable[str]) -> Any:
        models = self._models
        wanted = [("state", State.LIVE), *(("tags", tag) for tag in sorted(tags))]
        if memory_type is not None:
            wanted.append(("type", memory_type))
        return models.Filter(
            must=[models.FieldCondition(key=name, match=models.MatchValue(value=value)) for name, value in wanted]
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from qdrant_client.http.exceptions import ApiException, UnexpectedResponse  # noqa: PLC0415 - as above

        try:
            yield
        except UnexpectedResponse as error:
            if error.status_code in (401, 403):
                raise ConfigurationError(
                    f"{self.where} refuses the key ({error.status_code})", "set SOMA_QDRANT_API_KEY to one it admits"
                ) from None
            if error.status_code == 404:
                raise StoreError(
                    f"{self.where} is gone: the vectors were made again meanwhile, or removed; open the memory again"
                ) from error
            if error.status_code in (429, 503):
                raise StoreBusyError(f"{self.where} is overloaded: try again in a moment", RETRY_AFTER_S) from error
            raise StoreError(f"{self.where} failed: {error}") from error
        except ApiException as error:
            raise StoreError(
                f"{self.where} does not answer ({error}): start it, correct SOMA_QDRANT_URL, or unset it to use the "
                f"exact index"
            ) from error
        except ValueError as error:  # how the imitation in the process says so
            raise StoreError(f"{self.where} failed: {error}") from error
