"""From a path, or from the environment, to a `Memory`."""

from __future__ import annotations

import itertools
import math
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4, uuid5

from soma.embedded import EmbeddedStore
from soma.embedding import Embedder, OnnxEmbedder, StaticEmbedder
from soma.embedding.by_name import NAMES, embedder_of, is_server
from soma.errors import ConfigurationError, StoreError
from soma.math.coordinates import Frame
from soma.memory import Memory
from soma.reembedding import Reembedded, reembed_storage
from soma.settings import MemoryMode, Settings, as_mode
from soma.state.namespace import Namespace, Projector
from soma.stores.indexes import vector_index
from soma.stores.qdrant_engine import Place
from soma.stores.redis_storage import RedisStorage
from soma.stores.relayed import RelayedStorage, relay_at_hand
from soma.stores.segment_files import SegmentFiles
from soma.stores.sqlite import SqliteStorage

if TYPE_CHECKING:
    from soma.stores.protocols import Storage, VectorIndex

__all__ = ["MemoryMode", "Reembedded", "Settings", "create_memory", "open", "open_storage", "reembed"]

TEST_IDS: Final = UUID("7b0f7c2e-4a7f-5d0a-9f57-2f3f6c1f0e11")


def create_memory(
    mode: MemoryMode | str | None = None, *, settings: Settings | None = None, is_read_only: bool = False
) -> Memory:
    """Return the memory that a mode stands for.

    Parameters
    ----------
    mode : MemoryMode or str, optional
        Overrides that of the settings.
    settings : Settings, optional
        Read from the environment by default.
    is_read_only : bool
        Refuse every write; the store must exist.

    Returns
    -------
    Memory
        ``DEVELOPMENT``: the durable store at ``settings.path``, or in Redis where ``settings.redis_url`` names one; its
        vectors in the exact index, or in Qdrant where ``settings.qdrant_path`` or ``qdrant_url`` names one. With
        ``settings.is_dual_write`` every event is published to Kafka as well, after it was stored.
        ``TEST``: a store in fakeredis, in the process's memory, whose clock and ids are deterministic: the clock
        starts at 0 and advances a second at each reading.
        ``LEGACY_COMPAT``, if ``settings.is_legacy_allowed``: what the dump of version 1 at ``settings.legacy_path``
        holds of the namespace, for reading alone; a `UserWarning` says so, and what was left out.

    Raises
    ------
    ConfigurationError
        For an unknown mode, one that is not admitted, or one that this version does not serve: never a silent
        fallback.
    StoreError
        If what is asked for is not there, or cannot be opened.

    Examples
    --------
    >>> with create_memory("TEST") as memory:
    ...     record = memory.remember("Ada fixed the flaky clock test")
    ...     memory.recall("clock test")[0].record.text
    'Ada fixed the flaky clock test'
    """
    settings = Settings.from_environment() if settings is None else settings
    mode = settings.mode if mode is None else as_mode(mode)
    if mode is MemoryMode.DEVELOPMENT:
        return _development(settings, is_read_only)
    if mode is MemoryMode.TEST:
        if is_read_only:
            raise StoreError("a store in the process's own memory begins empty: open it for writing")
        return _test(settings)
    if mode is MemoryMode.LEGACY_COMPAT:
        return _legacy(settings)
    raise ConfigurationError(
        f"the mode {mode.value} is not served by this version", "use DEVELOPMENT, or a version that serves it"
    )


def _development(settings: Settings, is_read_only: bool) -> Memory:
    storage = open_storage(settings, is_read_only=is_read_only)
    return _memory(storage, settings.namespace, _asked(settings), settings, frame=_box(), clock=time.time, new_id=uuid4)


def open_storage(settings: Settings, *, is_read_only: bool = False) -> Storage:
    """Return what keeps log and records in the mode ``DEVELOPMENT``: for the store as a whole, whatever its namespaces.

    Parameters
    ----------
    settings : Settings
        Redis where they name one, else the folder; with ``is_dual_write`` what is written is published as well.
    is_read_only : bool
        Refuse every write, and publish nothing; the store must exist.

    Raises
    ------
    ConfigurationError
        For a package or a setting that is missing.
    StoreError
        If what is asked for is not there, or does not answer.
    """
    storage: Storage
    if settings.redis_url is None:
        storage = SqliteStorage(settings.path.expanduser(), is_read_only=is_read_only)
    else:
        storage = RedisStorage.from_url(settings.redis_url, settings.redis_name, is_read_only=is_read_only)
    if is_read_only or not settings.is_dual_write:
        return storage
    try:
        relay = relay_at_hand()
        try:
            return RelayedStorage(storage, relay)
        except BaseException:
            relay.close()
            raise
    except BaseException:
        storage.close()
        raise


def _test(settings: Settings) -> Memory:
    try:
        from fakeredis import FakeRedis  # noqa: PLC0415 - loaded in this mode alone
    except ModuleNotFoundError:
        raise ConfigurationError(
            "the mode TEST needs the package fakeredis", 'pip install "soma-fractal-memory[testing]"'
        ) from None
    ticks, numbers = itertools.count(), itertools.count()
    return _memory(
        RedisStorage(FakeRedis(host=str(uuid4()))),  # a server of its own
        settings.namespace,
        _asked(settings),
        Settings(),
        frame=_box(),
        clock=lambda: float(next(ticks)),
        new_id=lambda: uuid5(TEST_IDS, str(next(numbers))),
    )


def _legacy(settings: Settings) -> Memory:
    from soma.ingest import read_legacy  # noqa: PLC0415 - loaded in this mode alone

    if not settings.is_legacy_allowed:
        raise ConfigurationError("the mode LEGACY_COMPAT is not admitted", "set SOMA_ALLOW_LEGACY=true to admit it")
    if settings.legacy_path is None:
        raise ConfigurationError("LEGACY_COMPAT has no dump to read", "set SOMA_LEGACY_PATH to the JSON of version 1")
    dump = read_legacy(settings.legacy_path.expanduser())
    records = dump.records.get(settings.namespace, ())
    if not records:
        held = ", ".join(dump.namespaces) or "none"
        raise StoreError(
            f"{settings.legacy_path} holds no memories of namespace {settings.namespace}: set SOMA_NAMESPACE to one "
            f"that it holds ({held})"
        )
    left = f"; {len(dump.left_out):,} of its entries are left out, such as {dump.left_out[0]}" if dump.left_out else ""
    warnings.warn(
        f"LEGACY_COMPAT reads {settings.legacy_path} and never writes it: export-jsonl and import-jsonl bring "
        f"the namespace into a store of this version{left}",
        UserWarning,
        stacklevel=3,
    )
    storage = SqliteStorage(None)
    frame = _frame_of([record.coordinate for record in records])
    memory = _memory(
        storage, settings.namespace, _asked(settings), Settings(), frame=frame, clock=time.time, new_id=uuid4
    )
    try:
        memory.store_many(records, is_history=True)
    except BaseException:
        memory.close()
        raise
    storage.freeze()
    return memory


def _box(dimension: int = 3) -> Frame:
    return Frame((-1.0,) * dimension, (1.0,) * dimension)


def _frame_of(coordinates: Sequence[tuple[float, ...]]) -> Frame:
    """Return the box from -1 to 1 on each axis, made wide enough for coordinates of one dimension."""
    dimensions = Counter(map(len, coordinates))
    if len(dimensions) > 1:
        counts = ", ".join(f"{count:,} of dimension {dimension}" for dimension, count in sorted(dimensions.items()))
        raise StoreError(f"a namespace has coordinates of one dimension, and the dump holds {counts}: split it")
    axes = list(zip(*coordinates, strict=True))
    return Frame(
        tuple(min(-1.0, *axis) for axis in axes),
        tuple(max(1.0, math.nextafter(max(axis), math.inf)) for axis in axes),
    )


def open(  # noqa: A001 - soma.open is the name that users type
    path: str | os.PathLike[str],
    *,
    namespace: str = "default",
    embedder: Embedder | str | None = None,
    dimension: int = 3,
    is_read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> Memory:
    """Open, or make, an embedded durable memory.

    Parameters
    ----------
    path : str or path
        The folder that holds the store.
    namespace : str
        The namespace to work in; the first write registers it.
    embedder : Embedder or str, optional
        A name (`soma.embedding.by_name.embedder_of`) or an embedder; by default what the store was made with,
        ``"hashing"`` for a new one.
    dimension : int
        Dimension of the coordinates of a new namespace.
    is_read_only : bool
        Refuse every write; the store must exist.
    clock : callable
        Returns the time, POSIX seconds.

    Returns
    -------
    Memory
        One writer at a time, many readers; a context manager.

    Raises
    ------
    StoreError
        If the path cannot hold a store, or holds something else.
    ConfigurationError
        For an unknown embedder, one that is not installed, or another than the one that made the store's vectors:
        `reembed` makes them again.

    Examples
    --------
    >>> import tempfile
    >>> with open(tempfile.mkdtemp(), namespace="lab") as memory:
    ...     _ = memory.remember("Ada fixed the flaky clock test", importance=7, tags=["ci"])
    ...     memory.recall("who repaired the clock?", k=1)[0].record.tags
    ('ci',)
    """
    storage = SqliteStorage(Path(path).expanduser(), is_read_only=is_read_only)
    return _memory(storage, namespace, embedder, Settings(), frame=_box(dimension), clock=clock, new_id=uuid4)


def reembed(
    store: str | os.PathLike[str] | Settings,
    embedder: Embedder | str,
    *,
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.time,
) -> Reembedded:
    """Make the vectors of a store again by another embedder, and make that one the store's own.

    Vectors in Qdrant are filled in beside the old ones before the swap; by the store's own embedder they are filled in
    again.

    Parameters
    ----------
    store : str, path or Settings
        The folder that holds the store, or what names it and where its vectors are. Nobody should be writing to it.
    embedder : Embedder or str
        As for `open`.
    batch : int
        Texts in a transaction, >= 1. Broken off, the work goes on where it stopped at the next call.
    progress : callable, optional
        Called after each batch with the number of vectors there are, and the number there will be.
    clock : callable
        Returns the time, POSIX seconds.

    Returns
    -------
    Reembedded
        The revisions before and after, and how many vectors were made.

    Raises
    ------
    StoreError
        If there is no store, or Qdrant does not answer.
    ConfigurationError
        For an unknown embedder, or one that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from soma.embedding import HashingEmbedder
    >>> folder = tempfile.mkdtemp()
    >>> with open(folder) as memory:
    ...     _ = memory.remember("Ada fixed the flaky clock test")
    >>> done = reembed(folder, HashingEmbedder(dimension=64))
    >>> done.after, done.n_made
    ('hashing-v1-d64', 1)
    """
    settings = store if isinstance(store, Settings) else Settings(path=Path(store))
    if settings.mode is not MemoryMode.DEVELOPMENT:
        raise ConfigurationError(f"a store of the mode {settings.mode.value} keeps no vectors", "unset SOMA_MODE")
    open_storage(settings, is_read_only=True).close()  # it must be there already
    storage = open_storage(settings)
    try:
        chosen, name = _built(embedder)

        def index_of(namespace: str) -> VectorIndex:
            return _index(settings, storage, namespace, chosen, name, is_new=True)

        return reembed_storage(
            storage,
            chosen,
            name=name,
            clock=clock,
            new_id=uuid4,
            batch=batch,
            progress=progress,
            index_of=index_of if settings.has_qdrant else None,
        )
    finally:
        storage.close()


def _index(
    settings: Settings, storage: Storage, namespace: str, embedder: Embedder, name: str, *, is_new: bool = False
) -> VectorIndex:
    place = Place(storage.identity, namespace, embedder.revision, embedder.dimension)
    return vector_index(settings, place, embedder=name, is_new=is_new, files=_files(storage, namespace, embedder))


def _memory(
    storage: Storage,
    namespace: str,
    embedder: Embedder | str | None,
    settings: Settings,
    *,
    frame: Frame,
    clock: Callable[[], float],
    new_id: Callable[[], UUID],
) -> Memory:
    """Return the memory of a storage, with the index that the settings name; it closes the storage if that fails."""
    try:
        chosen, name = _embedder(storage, embedder)
        if not storage.is_read_only and storage.setting("embedder") != chosen.revision:
            with storage.writing():
                storage.set_setting("embedder", chosen.revision)
                storage.set_setting("embedder_name", name)
        registration = Namespace(
            namespace,
            frame.dimension,
            frame=frame,
            projector=Projector(seed=0, embedding_dimension=chosen.dimension),
        )
        index = _index(settings, storage, namespace, chosen, name)
        try:
            return Memory(EmbeddedStore(storage, registration, chosen, index, clock=clock, new_id=new_id))
        except BaseException:
            index.close()
            raise
    except BaseException:
        storage.close()
        raise


def _files(storage: Storage, namespace: str, embedder: Embedder) -> SegmentFiles | None:
    """Return where the exact index of a namespace is kept: beside a store that is in a folder."""
    plain = storage.origin if isinstance(storage, RelayedStorage) else storage
    if not isinstance(plain, SqliteStorage) or plain.directory is None:
        return None

    about = {"namespace": namespace, "revision": embedder.revision}
    folder = plain.directory / "index" / f"of {namespace}"
    return SegmentFiles(folder, about, is_read_only=storage.is_read_only)


def _embedder(storage: Storage, asked: Embedder | str | None) -> tuple[Embedder, str]:
    """Return the embedder of a storage with the name that builds it; the one asked for must be it.

    An empty storage takes the one asked for, or hashing.
    """
    with storage.reading():
        revision = storage.setting("embedder") if storage.log.head() else None
        known_as = storage.setting("embedder_name")
    if revision is None:
        return _built("hashing" if asked is None else asked)
    if asked is not None:
        chosen, name = _built(asked)
        if revision != chosen.revision:
            raise ConfigurationError(
                f"the store's vectors were made by {revision}, and {chosen.revision} is asked for",
                f"open it without naming an embedder, or make them again: soma reembed --embedder {name}",
            )
        return chosen, name
    name = known_as or revision.partition("-")[0]
    if name in NAMES or is_server(name) or Path(name).is_absolute():
        chosen, _ = _built(name)
        if chosen.revision == revision:
            return chosen, name
    raise ConfigurationError(
        f"the store's vectors were made by {revision}, which is not at hand",
        "open it from Python with that embedder, or make the vectors again: soma reembed --embedder hashing",
    )


def _asked(settings: Settings) -> Embedder | str | None:
    """Return what the settings ask for: a server is given the key that they hold."""
    if settings.embedder is None or not is_server(settings.embedder):
        return settings.embedder
    return embedder_of(settings.embedder, api_key=settings.embedder_api_key)


def _built(asked: Embedder | str) -> tuple[Embedder, str]:
    """Return an embedder, and the name that it is known by."""
    if isinstance(asked, str):
        is_whole = asked in NAMES or is_server(asked)
        return embedder_of(asked), asked if is_whole else str(Path(asked).expanduser().resolve())
    return asked, {StaticEmbedder: "static", OnnxEmbedder: "minilm"}.get(type(asked), asked.name)
