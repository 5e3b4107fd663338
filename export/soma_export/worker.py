"""The worker: poll, take in, project, commit. One loop, whatever the projection.

Kafka delivers at least once. The effect is once, as the cursor moves in the transaction of the effects: a batch that
begins where the cursor does not stand is void. So a worker may be killed at any point, and two may believe to own one
partition, and nothing is lost or counted twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from soma.errors import NotFoundError, StoreError
from soma.state.events import NamespaceRegistered
from soma_export.contract.codec import Codec
from soma_export.contract.message import Message
from soma_export.dead_letters import DeadLetterTopic, ThrottledError
from soma_export.delivery import Fault, classify, retry_after_s
from soma_export.intake import Accepted, Poison, Taken, take_in
from soma_export.log import Log
from soma_export.projections.kv_writer import Batch, CursorMovedError, Written
from soma_export.registrations import Registrations
from soma_export.source import GroupSource
from soma_export.telemetry import Metrics

__all__ = ["GC_THRESHOLD", "Projection", "Worker", "WorkerOptions"]

LOGGER: Final = logging.getLogger("soma.export")
TICK_S: Final = 1.0
CHECK_S: Final = 5.0
GC_THRESHOLD: Final = 100_000
"""For `gc.set_threshold`: a batch makes many values and no cycles, and looking for some costs a third of the time."""


class Projection(Protocol):
    """A store that takes batches, with a cursor of its own."""

    def positions(self, topic_id: str, first: Mapping[int, int]) -> dict[int, int]:
        """Return where each partition goes on."""
        ...

    def register(self, events: Sequence[NamespaceRegistered]) -> None:
        """Keep registrations."""
        ...

    def project(self, batch: Batch, bury: Callable[[Sequence[Poison]], None]) -> Written:
        """Take the effects of a batch and move the cursor over it, or raise."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The bounds of a worker.

    Parameters
    ----------
    batch_max : int
        Most messages of a batch.
    poll_s : float
        How long to wait for a first message, seconds.
    max_skew_s : float
        How far in the future of the broker's clock a time may lie, seconds.
    ready_lag : int
        Messages behind from which on the worker is not ready.
    alive_s : float
        Seconds without a turn of the loop after which the worker is not alive.
    """

    batch_max: int = 1_000
    poll_s: float = 0.2
    max_skew_s: float = 300.0
    ready_lag: int = 100_000
    alive_s: float = 120.0


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be written, and the position after the message before it, which must be written first."""

    taken: Taken
    follows: int

    def refused(self, error: Exception) -> _Due:
        """Return it as poison, as the store refuses it."""
        if isinstance(self.taken, Poison):
            return self
        return _Due(Poison(self.taken.message, "write", f"the store refuses it: {_first_line(error)}"), self.follows)


class Worker:
    """Projects the partitions that its group gives it, until it is stopped.

    Parameters
    ----------
    log : Log
        Describes the topic of events.
    topic : str
        Its name.
    source : callable
        Makes the member of the group: takes ``on_assigned`` and ``on_revoked``.
    codec : Codec
        Reads messages.
    registrations : Registrations
        The namespaces.
    projection : Projection
        The store.
    letters : DeadLetterTopic
        Where poison goes.
    metrics : Metrics
        What is counted.
    options : WorkerOptions
        Bounds.
    jitter : callable
        Returns a draw from [0, 1), which spreads retries.
    """

    def __init__(
        self,
        *,
        log: Log,
        topic: str,
        source: Callable[..., GroupSource],
        codec: Codec,
        registrations: Registrations,
        projection: Projection,
        letters: DeadLetterTopic,
        metrics: Metrics,
        options: WorkerOptions,
        jitter: Callable[[], float],
    ) -> None:
        self._log = log
        self._topic = topic
        self._make_source = source
        self._codec = codec
        self._registrations = registrations
        self._projection = projection
        self._letters = letters
        self._metrics = metrics
        self._options = options
        self._jitter = jitter
        self._stopping = threading.Event()
        self._topic_id = ""
        self._next: dict[int, int] = {}  # of each own partition: where the store stands
        self._fetched: dict[int, int] = {}  # where the stream stands; a partition that is missing must be sought
        self._trouble: str | None = "no partition is assigned yet"
        self._turned_s = time.monotonic()
        self._told_s = self._checked_s = 0.0
        self._lag: dict[int, int] = {}
        self._source: GroupSource | None = None

    # -- for the operator --------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Finish the batch at hand, leave the group, and return from `run`; may be called from a signal handler."""
        self._stopping.set()

    def is_alive(self) -> str | None:
        """Return None while the loop turns, else since when it does not."""
        silent_s = time.monotonic() - self._turned_s
        return None if silent_s < self._options.alive_s else f"the loop has not turned for {silent_s:.0f} s"

    def is_ready(self) -> str | None:
        """Return None while the stores answer and the lag is below its bound, else the reason."""
        if self._trouble:
            return self._trouble
        lag = sum(self._lag.values())
        return None if lag <= self._options.ready_lag else f"{lag:,} messages behind"

    # -- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Join the group, and project until `stop`.

        Raises
        ------
        SomaError
            For what waiting cannot mend: a log that was cut, a schema of another version.
        """
        self._until_it_works("the registrations", self._refresh)
        if self._stopping.is_set():
            return
        self._source = self._make_source(on_assigned=self._assigned, on_revoked=self._revoked)
        try:
            while not self._stopping.is_set():
                self._turn(self._source)
        finally:
            self._source.close()
            self._letters.close()
            self._projection.close()

    def _turn(self, source: GroupSource) -> None:
        messages = source.poll(self._options.batch_max, self._options.poll_s)
        started_s = self._turned_s = time.monotonic()
        if messages:
            self._metrics.batch_events.observe(len(messages))
            self._write(source, self._taken(source, messages))
            self._metrics.batch_seconds.observe(time.monotonic() - started_s)
        if started_s - self._told_s > TICK_S:
            self._told_s = started_s
            self._tell(source)
        if started_s - self._checked_s > CHECK_S:
            self._checked_s = started_s
            self._check(source)

    def _taken(self, source: GroupSource, messages: Sequence[Message]) -> list[_Due]:
        """Take in what belongs to a partition of ours, and was fetched from where it was sought last."""
        due: list[_Due] = []
        unknown = self._next.keys() - self._fetched.keys()
        for message in messages:
            partition, offset = message.position.partition, message.position.offset
            if partition not in self._fetched:
                continue
            follows, self._fetched[partition] = self._fetched[partition], offset + 1
            taken = self._until_it_works(
                "the registrations",
                lambda message=message: take_in(  # type: ignore[misc]
                    message, self._codec, self._registration, self._options.max_skew_s
                ),
            )
            if taken is not None:
                due.append(_Due(taken, follows))
        self._seek(source, list(unknown))  # only now: none of the messages at hand came after it
        return due

    def _write(self, source: GroupSource, due: Sequence[_Due]) -> None:
        """Project a batch, however long it takes; in halves, where an event of it cannot be written."""
        attempt = 0
        while True:
            due = self._still_due(source, due)  # partitions may have gone, or gone and come, while we waited
            if not due or (self._stopping.is_set() and attempt):
                break
            batch = self._batch(due)
            try:
                written = self._projection.project(batch, self._letters.bury)
            except CursorMovedError:
                self._metrics.batches("moved").inc()
                self._reseek(source, batch)
                break
            except Exception as error:
                fault = classify(error)
                if fault is Fault.FATAL or (fault is Fault.PERMANENT and _is_poison(due)):
                    raise
                if fault is Fault.PERMANENT:
                    if len(due) > 1:
                        middle = len(due) // 2
                        self._write(source, due[:middle])
                        self._write(source, due[middle:])
                        break
                    due = [item.refused(error) for item in due]
                    continue
                attempt += 1
                self._metrics.batches("retried").inc()
                self._wait(source, error, attempt)
            else:
                self._written(source, batch, written)
                break
        if attempt:
            source.resume()
            self._seek(source, list(self._next))  # while it waited, what was fetched was dropped
            self._trouble = None
            self._metrics.is_waiting.set(0)

    def _still_due(self, source: GroupSource, due: Sequence[_Due]) -> list[_Due]:
        """Return what is not written yet and follows on what is.

        Between an event and the one before it nothing may be skipped: if the store stands before the event that the
        first of a partition follows, the stretch is void, and is fetched again.
        """
        kept: list[_Due] = []
        stands = dict(self._next)
        for item in due:
            partition, offset = item.taken.position.partition, item.taken.position.offset
            if partition not in stands or offset < stands[partition]:
                continue
            if item.follows > stands[partition]:
                del stands[partition]
                self._seek(source, [partition])
                continue
            stands[partition] = offset + 1
            kept.append(item)
        return kept

    def _batch(self, due: Sequence[_Due]) -> Batch:
        ends: dict[int, int] = {}
        for item in due:
            ends[item.taken.position.partition] = item.taken.position.offset + 1
        return Batch(
            topic_id=self._topic_id,
            starts={partition: self._next[partition] for partition in ends},
            ends=ends,
            accepted=[item.taken for item in due if isinstance(item.taken, Accepted)],
            poison=[item.taken for item in due if isinstance(item.taken, Poison)],
        )

    def _seek(self, source: GroupSource, partitions: Sequence[int]) -> None:
        """Fetch from where the store stands."""
        for partition in partitions:
            self._fetched.pop(partition, None)
            if partition in self._next and source.seek(partition, self._next[partition]):
                self._fetched[partition] = self._next[partition]

    def _written(self, source: GroupSource, batch: Batch, written: Written) -> None:
        self._next.update(batch.ends)
        source.commit(batch.ends)
        self._trouble = None
        self._metrics.batches("written").inc()
        for effect, n in written.effects.items():
            self._metrics.events(effect).inc(n)
        for letter in written.poison:
            self._metrics.dead_letters(letter.stage).inc()
            _tell(
                logging.WARNING, "dead letter", position=str(letter.position), stage=letter.stage, reason=letter.reason
            )
        latest = max((item.message.appended_s for item in batch.accepted), default=0.0)
        if latest:
            self._metrics.delay.set(max(0.0, time.time() - latest))

    def _wait(self, source: GroupSource, error: Exception, attempt: int) -> None:
        """Wait before another attempt, with the partitions paused and the membership kept."""
        wait_s = error.retry_after_s if isinstance(error, ThrottledError) else retry_after_s(attempt, self._jitter())
        self._trouble = f"{type(error).__name__}: {_first_line(error)}"
        self._metrics.is_waiting.set(1)
        _tell(logging.WARNING, "waiting", reason=self._trouble, attempt=attempt, seconds=round(wait_s, 3))
        source.pause()
        until_s = time.monotonic() + wait_s
        while not self._stopping.is_set() and (left_s := until_s - time.monotonic()) > 0:
            source.poll(1, min(left_s, 0.1))  # paused: delivers nothing, keeps the membership
            self._turned_s = time.monotonic()

    def _until_it_works(self, what: str, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns, waiting while a server is away; None if the worker is stopped meanwhile."""
        attempt = 0
        while not self._stopping.is_set():
            try:
                return work()
            except Exception as error:
                if classify(error) is Fault.FATAL or isinstance(error, NotFoundError):
                    raise
                attempt += 1
                self._trouble = f"{what}: {_first_line(error)}"
                wait_s = retry_after_s(attempt, self._jitter())
                _tell(logging.WARNING, "waiting", reason=self._trouble, attempt=attempt, seconds=round(wait_s, 3))
                self._turned_s = time.monotonic()
                self._stopping.wait(wait_s)
        return None

    # -- what the group says -----------------------------------------------------------------------------------

    def _assigned(self, partitions: list[int]) -> tuple[str, dict[int, int]]:
        positions = self._until_it_works("the cursors", lambda: self._cursors(partitions))
        if positions is None:  # stopped: the group is left in a moment
            return self._topic_id, dict.fromkeys(partitions, 0)
        self._next.update(positions)  # not _fetched: what this poll has in hand may be older than the assignment
        self._trouble = None
        self._metrics.assigned.set(len(self._next))
        _tell(logging.INFO, "assigned", partitions=partitions, positions=positions)
        return self._topic_id, positions

    def _revoked(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._next.pop(partition, None)
            self._fetched.pop(partition, None)
        self._metrics.assigned.set(len(self._next))
        _tell(logging.INFO, "revoked", partitions=partitions)

    def _cursors(self, partitions: list[int]) -> dict[int, int]:
        topic = self._log.required(self._topic)
        self._topic_id = topic.topic_id
        bounds = self._log.bounds(topic)
        return self._projection.positions(topic.topic_id, {number: bounds[number][0] for number in partitions})

    def _reseek(self, source: GroupSource, batch: Batch) -> None:
        """Another worker has written here: go on where the store stands."""
        positions = self._until_it_works("the cursors", lambda: self._cursors(list(batch.starts)))
        if positions is not None:
            self._follow(source, positions)
            self._seek(source, list(batch.starts))  # the whole batch is void, also where the cursor stood well

    def _follow(self, source: GroupSource, positions: Mapping[int, int]) -> None:
        """Go on where the store stands, in the partitions where that is not where this worker left it."""
        moved = {number: offset for number, offset in positions.items() if self._next.get(number, offset) != offset}
        if moved:
            _tell(logging.INFO, "cursor moved", expected={n: self._next[n] for n in moved}, found=moved)
            self._next.update(moved)
            self._seek(source, list(moved))

    # -- what it knows -----------------------------------------------------------------------------------------

    def _registration(self, name: str) -> Any:
        if name not in self._registrations.events:
            self._refresh()
        return self._registrations.get(name)

    def _refresh(self) -> None:
        self._registrations.refresh()
        self._projection.register(list(self._registrations.events.values()))

    def _check(self, source: GroupSource) -> None:
        """Ask whether the servers answer, the topic is still the same one, and the store is where it was left.

        Tables that a replay has put in the place of others stand further back, and a partition in which nothing
        happens would not notice.
        """
        if not self._next:
            return
        try:
            found = self._log.required(self._topic, timeout_s=CHECK_S)
            positions = self._projection.positions(self._topic_id, dict.fromkeys(self._next, 0))
        except Exception as error:
            if classify(error) is Fault.FATAL:
                raise
            self._trouble = _first_line(error)
            return
        self._trouble = None
        if found.topic_id != self._topic_id:
            raise StoreError(f"{self._topic} was made again: start the worker anew, to read it from its beginning")
        self._follow(source, positions)

    def _tell(self, source: GroupSource) -> None:
        self._seek(source, [number for number in self._next if number not in self._fetched])
        self._lag = {
            number: max(0, end - self._next[number]) for number, end in source.ends().items() if number in self._next
        }
        self._metrics.set_lag(self._lag)
        if not sum(self._lag.values()):
            self._metrics.delay.set(0)


def _is_poison(due: Sequence[_Due]) -> bool:
    """Return whether all that is left is one dead letter, which cannot be diverted once more."""
    return len(due) == 1 and isinstance(due[0].taken, Poison)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _tell(level: int, what: str, **fields: Any) -> None:
    LOGGER.log(level, what, extra={"fields": fields})
