"""A storage whose log is published as well: the log is the outbox, and a setting says how far it was published."""

from __future__ import annotations

import importlib.metadata
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from soma.errors import ConfigurationError, SomaError

if TYPE_CHECKING:
    from soma.state.events import Event
    from soma.stores.protocols import EventLog, KeyValueStore, Storage, VectorCache

__all__ = ["CURSOR", "Relay", "RelayedStorage", "relay_at_hand"]

CURSOR: Final = "relayed"
"""The setting that holds the log position up to which everything was published."""
BATCH: Final = 500
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0


class Relay(Protocol):
    """Where events go after they were stored."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events in their order, and return once all of them are acknowledged.

        Some may have been published before; whoever reads them counts an event once, by its id.

        Raises
        ------
        SomaError
            If one is not acknowledged in time, or refused.
        """
        ...

    def close(self) -> None:
        """Release the connection; closing twice is allowed."""
        ...


class RelayedStorage:
    """A storage that publishes what its log has taken, once that is on the disk.

    The storage stays the truth. What was acknowledged is in its log, in the transaction of its effects: so a crash
    cannot lose an event, and the next writing or opening publishes it. If the relay fails, the write stands, and is
    published later; after a failure the relay is left in peace for a while.

    Parameters
    ----------
    storage : Storage
        Open for writing.
    relay : Relay
        Where the events go.

    Raises
    ------
    SomaError
        If what the log holds already cannot be published.

    Notes
    -----
    Laws: ``property_tests/stores/test_relayed.py``, ``property_tests/export/test_relay.py``.
    """

    def __init__(self, storage: Storage, relay: Relay) -> None:
        self.origin = storage
        self._relay = relay
        self._depth = 0
        self._publishing = threading.RLock()
        self._is_closed = False
        self._pause_s = FIRST_PAUSE_S
        self._not_before_s = 0.0
        self._publish()

    @property
    def identity(self) -> str:
        """A name for this log alone, given when the store was made."""
        return self.origin.identity

    @property
    def is_read_only(self) -> bool:
        """Whether every write is refused."""
        return self.origin.is_read_only

    @property
    def log(self) -> EventLog:
        """What lasts."""
        return self.origin.log

    @property
    def records(self) -> KeyValueStore:
        """What the log has made of each memory."""
        return self.origin.records

    @property
    def vectors(self) -> VectorCache:
        """Vectors already made."""
        return self.origin.vectors

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run a block as the one writer; when it has ended well, and lasts, it is published."""
        with self.origin.writing():
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
        if self._depth == 0:
            self._publish_or_later()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run a block on one snapshot; never waits for a writer."""
        with self.origin.reading():
            yield

    def setting(self, name: str) -> str | None:
        """Return a setting kept with the store, or None."""
        return self.origin.setting(name)

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        self.origin.set_setting(name, value)

    def close(self) -> None:
        """Publish what is left, if the relay is not to be left in peace, and release what is held."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._not_before_s == 0.0:
                self._publish_or_later()
        finally:
            self._relay.close()
            self.origin.close()

    def _publish_or_later(self) -> None:
        with self._publishing:
            if time.monotonic() < self._not_before_s:
                return
            try:
                self._publish()
            except SomaError:  # the write stands; `soma stats` and `soma doctor` say how far the relay is behind
                self._not_before_s = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            else:
                self._not_before_s, self._pause_s = 0.0, FIRST_PAUSE_S

    def _publish(self) -> None:
        """Publish the log after the cursor, and move it: an event may be published twice, and is never passed over."""
        while True:
            cursor = int(self.origin.setting(CURSOR) or 0)
            with self.origin.reading():
                page = list(islice(self.origin.log.read(cursor), BATCH))
            if not page:
                return
            self._relay.publish([event for _, event in page])
            with self.origin.writing():
                if int(self.origin.setting(CURSOR) or 0) < page[-1][0]:  # another process may have gone further
                    self.origin.set_setting(CURSOR, str(page[-1][0]))


def relay_at_hand() -> Relay:
    """Return the relay that an installed package offers as an entry point of the group ``soma.relays``.

    Raises
    ------
    ConfigurationError
        If there is none, or what it needs is not installed or not set.
    StoreError
        If where it leads does not answer.
    """
    problem, hint = "SOMA_DUAL_WRITE needs the packages of production", 'pip install "soma-fractal-memory[export]"'
    for found in importlib.metadata.entry_points(group="soma.relays"):
        try:
            make = found.load()
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"{problem} ({error.name} is missing)", hint) from None
        relay: Relay = make()
        return relay
    raise ConfigurationError(problem, hint)
