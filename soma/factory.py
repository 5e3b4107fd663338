"""From a path, or from the environment, to a `Memory`."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4, uuid5

from soma.embedded import EmbeddedStore
from soma.embedding import Embedder, HashingEmbedder, StaticEmbedder
from soma.errors import ConfigurationError
from soma.math.coordinates import Frame
from soma.memory import Memory
from soma.state.namespace import Namespace, Projector
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex

__all__ = ["MemoryMode", "Settings", "create_memory", "open"]

DEFAULT_PATH: Final = Path("~/.local/share/soma")
TEST_IDS: Final = UUID("7b0f7c2e-4a7f-5d0a-9f57-2f3f6c1f0e11")


class MemoryMode(StrEnum):
    """Where memories live, and how they are written (``SOMA_MODE``)."""

    DEVELOPMENT = "DEVELOPMENT"
    TEST = "TEST"
    EVENTED_ENTERPRISE = "EVENTED_ENTERPRISE"
    CLOUD_MANAGED = "CLOUD_MANAGED"
    LEGACY_COMPAT = "LEGACY_COMPAT"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    Parameters
    ----------
    mode : MemoryMode
        ``SOMA_MODE``; ``DEVELOPMENT`` by default.
    path : Path
        ``SOMA_PATH``: the folder of the embedded store; ``~/.local/share/soma`` by default.
    namespace : str
        ``SOMA_NAMESPACE``; ``default`` by default.
    embedder : str or None
        ``SOMA_EMBEDDER``: ``hashing`` or ``static``; by default what the store was made with.

    Examples
    --------
    >>> Settings.from_environment({"SOMA_MODE": "TEST"}).mode.value
    'TEST'
    """

    mode: MemoryMode = MemoryMode.DEVELOPMENT
    path: Path = DEFAULT_PATH
    namespace: str = "default"
    embedder: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises
        ------
        ConfigurationError
            For an unknown mode, or a server that this version cannot use.
        """
        found = os.environ if environment is None else environment
        for name in ("SOMA_REDIS_URL", "SOMA_QDRANT_URL", "SOMA_QDRANT_PATH"):
            if found.get(name):
                raise ConfigurationError(
                    f"{name} is set, and this version has no adapter for it",
                    f"unset {name} to use the embedded store",
                )
        return cls(
            mode=as_mode(found.get("SOMA_MODE") or MemoryMode.DEVELOPMENT),
            path=Path(found.get("SOMA_PATH") or DEFAULT_PATH),
            namespace=found.get("SOMA_NAMESPACE") or "default",
            embedder=found.get("SOMA_EMBEDDER") or None,
        )


def as_mode(mode: str) -> MemoryMode:
    """Return a mode by its name, or raise `ConfigurationError` naming those there are."""
    try:
        return MemoryMode(mode)
    except ValueError:
        known = ", ".join(m for m in MemoryMode if m is not MemoryMode.LEGACY_COMPAT)
        raise ConfigurationError(f"the mode {mode!r} is unknown", f"set SOMA_MODE to one of {known}") from None


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
        ``DEVELOPMENT``: the embedded durable store at ``settings.path``. ``TEST``: a store in the process's memory
        whose clock and ids are deterministic: the clock starts at 0 and advances a second at each reading.

    Raises
    ------
    ConfigurationError
        For an unknown mode, or one that this version does not serve: never a silent fallback.

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
        return open(settings.path, namespace=settings.namespace, embedder=settings.embedder, is_read_only=is_read_only)
    if mode is MemoryMode.TEST:
        ticks, numbers = itertools.count(), itertools.count()
        return _memory(
            SqliteStorage(None, is_read_only=is_read_only),
            settings.namespace,
            settings.embedder,
            dimension=3,
            clock=lambda: float(next(ticks)),
            new_id=lambda: uuid5(TEST_IDS, str(next(numbers))),
        )
    raise ConfigurationError(
        f"the mode {mode.value} is not served by this version", "use DEVELOPMENT, or a version that serves it"
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
        ``"hashing"``, ``"static"`` or an embedder; by default what the store was made with, ``"hashing"`` for a
        new one. With another embedder than before, vectors are made again.
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
        For an unknown embedder, or one that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with open(tempfile.mkdtemp(), namespace="lab") as memory:
    ...     _ = memory.remember("Ada fixed the flaky clock test", importance=7, tags=["ci"])
    ...     memory.recall("who repaired the clock?", k=1)[0].record.tags
    ('ci',)
    """
    storage = SqliteStorage(Path(path).expanduser(), is_read_only=is_read_only)
    try:
        return _memory(storage, namespace, embedder, dimension=dimension, clock=clock, new_id=uuid4)
    except BaseException:
        storage.close()
        raise


def _memory(
    storage: SqliteStorage,
    namespace: str,
    embedder: Embedder | str | None,
    *,
    dimension: int,
    clock: Callable[[], float],
    new_id: Callable[[], UUID],
) -> Memory:
    chosen = _embedder(embedder, storage.setting("embedder"))
    registration = Namespace(
        namespace,
        dimension,
        frame=Frame((-1.0,) * dimension, (1.0,) * dimension),
        projector=Projector(seed=0, embedding_dimension=chosen.dimension),
    )
    if not storage.is_read_only and storage.setting("embedder") != chosen.revision:
        with storage.writing():
            storage.set_setting("embedder", chosen.revision)
    index = ExactIndex(chosen.dimension)
    return Memory(EmbeddedStore(storage, registration, chosen, index, clock=clock, new_id=new_id))


def _embedder(asked: Embedder | str | None, revision: str | None) -> Embedder:
    """Return the embedder asked for; without one, that of the store (by its revision), or hashing for a new one."""
    if asked is not None and not isinstance(asked, str):
        return asked
    if asked == "static":
        return StaticEmbedder()
    hashing = HashingEmbedder()
    if asked == "hashing" or (asked is None and revision in (None, hashing.revision)):
        return hashing
    if asked is not None:
        raise ConfigurationError(f"the embedder {asked!r} is unknown", 'choose "hashing" or "static"')
    static = StaticEmbedder()  # says how to install it, where it is missing
    if static.revision == revision:
        return static
    raise ConfigurationError(
        f"the store was made with the embedder {revision}, which is not at hand",
        "open it with that embedder, or name another one to make its vectors again",
    )
