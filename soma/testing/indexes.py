"""The contract of a vector index: laws that ours and everybody else's must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np

from soma.math import decay, multiscale
from soma.math import policy as p
from soma.math.similarity import unit_vectors
from soma.math.units import DAY
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.state.recall import rank
from soma.state.record import MemoryRecord, MemoryType
from soma.state.stored import StoredMemory
from soma.stores.protocols import VectorIndex
from soma.stores.rows import index_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_vector_index"]

DIMENSION: Final = 8
LAB: Final = Namespace("lab", dimension=1)
NOW_S: Final = 1_000 * DAY
LOG: Final = "the log of the contract"
POLICIES: Final = (
    p.presets.dense(),
    p.similarity().clip(0) * p.importance() ** 0.5 * p.decay(decay.Exponential(half_life_s=7 * DAY)),
    0.8 * p.similarity() + 0.2 * p.decay(decay.Power(scale_s=DAY, exponent=0.5), of=p.idle_s),
    p.memory_type("semantic") * p.similarity(),
    p.importance(),
    p.constant(1.0),
    -(p.similarity() ** 2) + p.exp(-p.age_s() / DAY),
)
FILTERS: Final = (
    Filter(),
    Filter(tags=frozenset({"odd"})),
    Filter(memory_type=MemoryType.EPISODIC),
    Filter(tags=frozenset({"odd", "größte"}), memory_type=MemoryType.SEMANTIC),
    Filter(tags=frozenset({"nobody's"})),
    Filter(since_s=100 * DAY, until_s=900 * DAY),
)


def check_vector_index(
    make: Callable[[], VectorIndex],
    again: Callable[[], VectorIndex] | None = None,
    *,
    seed: int = 0,
    n_memories: int = 300,
) -> None:
    """Raise AssertionError unless an index keeps the contract of `soma.stores.protocols.VectorIndex`.

    Parameters
    ----------
    make : callable
        Returns a new, empty index of dimension 8 at each call, which no other one shares.
    again : callable, optional
        Opens the index that ``make`` returned last once more, after it was closed; for one that outlives the process.
        What is asked of positions is asked of these alone.
    seed : int
        Of what is drawn: memories and queries.
    n_memories : int
        How many there are.

    Examples
    --------
    >>> from soma.stores.vectors_memory import ExactIndex
    >>> check_vector_index(lambda: ExactIndex(8), n_memories=20)
    """
    drawn = np.random.default_rng(seed)
    for law in (_begins_empty, _follows_changes, _breaks_ties_by_id, _knows_zero_vectors):
        with _open(make) as index:
            law(index, drawn, n_memories)
    with _open(make) as index:
        index.close()  # and once more at the end
    if again is not None:
        for lasting in (_lasts, _keeps_the_later, _forgets_what_is_cleared):
            with _open(make) as index:
                lasting(index, again, drawn, n_memories)


def _begins_empty(index: VectorIndex, drawn: np.random.Generator, n_memories: int) -> None:  # noqa: ARG001 - a law
    assert index.followed() == ("", 0)
    index.remove([UUID(int=1)], 1)
    index.upsert([], [], 1)
    index.follow(LOG, 1)
    _agrees(index, {}, drawn)


def _follows_changes(index: VectorIndex, drawn: np.random.Generator, n_memories: int) -> None:
    memories = _put(index, _memories(n_memories, drawn), 1)
    _agrees(index, memories, drawn)
    changed = {id: _memory(id, drawn) for id in list(memories)[: n_memories // 3]}
    memories |= _put(index, changed, 2)
    gone = list(memories)[n_memories // 4 : n_memories // 2]
    index.remove([*gone, UUID(int=2**127)], 3)
    index.follow(LOG, 3)
    for id in gone:
        del memories[id]
    _agrees(index, memories, drawn)
    memories |= _put(index, {id: _memory(id, drawn) for id in gone[::2]}, 4)  # some come back
    assert index.followed() == (LOG, 4)
    _agrees(index, memories, drawn)
    index.clear()
    assert index.followed() == ("", 0)
    _agrees(index, {}, drawn)


def _breaks_ties_by_id(index: VectorIndex, drawn: np.random.Generator, n_memories: int) -> None:
    one = _memory(UUID(int=1), drawn)
    alike = {UUID(int=n): _like(one, UUID(int=n)) for n in drawn.permutation(n_memories)[: n_memories // 2].tolist()}
    _put(index, alike, 1)
    _agrees(index, alike, drawn)


def _knows_zero_vectors(index: VectorIndex, drawn: np.random.Generator, n_memories: int) -> None:
    memories = _memories(n_memories // 4, drawn)
    blank = {id: _like(memory, id, embedding=(0.0,) * DIMENSION) for id, memory in list(memories.items())[::2]}
    memories |= blank
    _put(index, memories, 1)
    _agrees(index, memories, drawn)


def _lasts(index: VectorIndex, again: Callable[[], VectorIndex], drawn: np.random.Generator, n_memories: int) -> None:
    memories = _put(index, _memories(n_memories, drawn), 5)
    gone = list(memories)[:5]
    index.remove(gone, 6)
    for id in gone:
        del memories[id]
    index.follow(LOG, 6)
    index.close()
    with _open(again) as opened:
        assert opened.followed() == (LOG, 6)
        opened.resume(lambda: [index_row(memory) for memory in memories.values()])
        _agrees(opened, memories, drawn)


def _keeps_the_later(
    index: VectorIndex, again: Callable[[], VectorIndex], drawn: np.random.Generator, n_memories: int
) -> None:
    """Let a writer come late with what is old: it changes nothing, and brings nothing back."""
    memories = _put(index, _memories(n_memories, drawn), 5)
    gone, kept = list(memories)[:9], list(memories)[9:]
    index.remove(gone, 6)
    index.remove([UUID(int=7)], 6)
    index.follow(LOG, 6)
    late = {id: _memory(id, drawn) for id in [*gone, *kept[::2], UUID(int=7)]}
    _put(index, late, 4)
    index.remove(kept[1::2], 3)
    index.follow("a log that is behind", 4)
    index.close()
    for id in gone:
        del memories[id]
    with _open(again) as opened:
        assert opened.followed() == (LOG, 6)
        opened.resume(lambda: [index_row(memory) for memory in memories.values()])
        _agrees(opened, memories, drawn)
        memories |= _put(opened, {id: _memory(id, drawn) for id in gone}, 7)  # what is new counts
        _agrees(opened, memories, drawn)


def _forgets_what_is_cleared(
    index: VectorIndex, again: Callable[[], VectorIndex], drawn: np.random.Generator, n_memories: int
) -> None:
    _put(index, _memories(n_memories, drawn), 5)
    index.clear()
    memories = _put(index, _memories(3, drawn), 2)  # an earlier position than what was there
    index.close()
    with _open(again) as opened:
        assert opened.followed() == (LOG, 2)
        opened.resume(lambda: [index_row(memory) for memory in memories.values()])
        _agrees(opened, memories, drawn)


def _agrees(index: VectorIndex, memories: dict[UUID, StoredMemory], drawn: np.random.Generator) -> None:
    """Raise AssertionError unless every answer is that of the definition, to the bit."""
    assert len(index) == len(memories), "as many as were put in, and not taken out"
    for policy in POLICIES:
        keep = FILTERS[int(drawn.integers(len(FILTERS)))] if drawn.random() < 0.6 else FILTERS[0]
        k = int(drawn.choice([1, 3, 10, 500]))
        query = Query(embedding=drawn.integers(-3, 4, DIMENSION).astype(np.float64))  # type: ignore[arg-type]
        wanted = rank(
            [memory for memory in memories.values() if keep.admits(memory.record, NOW_S)],
            query,
            policy=policy,
            namespace=LAB,
            now_s=NOW_S,
            k=k,
            vectors=_vectors,
            links=tuple,
        )
        other = Query(embedding=drawn.integers(-3, 4, DIMENSION).astype(np.float64))  # type: ignore[arg-type]
        batch = index.search_batch([other, query], policy, LAB, NOW_S, k, keep)
        assert batch is not None, "as many at once as one by one"
        for found in (index.search(query, policy, LAB, NOW_S, k, keep), batch[1]):
            assert found is not None, f"nobody else changes it, and it keeps what {keep} asks"
            said = f"{policy} under {keep}, k = {k}"
            assert found.ids == [hit.record.id for hit in wanted], said
            assert found.scores.tolist() == [hit.score for hit in wanted], said
            assert found.n_candidates == wanted.n_candidates, said
            for hit in wanted:
                assert {name: column[hit.rank].item() for name, column in found.columns.items()} == hit.features, said


def _put(index: VectorIndex, memories: dict[UUID, StoredMemory], position: int) -> dict[UUID, StoredMemory]:
    held = list(memories.values())
    index.upsert([index_row(memory) for memory in held], list(_vectors([memory.record for memory in held])), position)
    index.follow(LOG, position)
    return memories


def _memories(n: int, drawn: np.random.Generator) -> dict[UUID, StoredMemory]:
    ids = (UUID(bytes=drawn.bytes(16)) for _ in range(n))
    return {id: _memory(id, drawn) for id in ids}


def _memory(id: UUID, drawn: np.random.Generator) -> StoredMemory:
    record = MemoryRecord(
        id=id,
        namespace="lab",
        coordinate=(0.0,),
        timestamp=float(drawn.integers(0, 1_010)) * DAY,  # some lie in the future
        importance=int(drawn.integers(-2, 13)),
        memory_type=MemoryType.SEMANTIC if drawn.random() < 0.6 else MemoryType.EPISODIC,
        tags=tuple(tag for tag in ("odd", "größte", "1") if drawn.random() < 0.5),
        expires_at=None if drawn.random() < 0.8 else float(drawn.integers(900, 1_100)) * DAY,
        embedding=tuple(drawn.integers(-3, 4, DIMENSION).astype(np.float64).tolist()),
        model_revision="test",
    )
    recalled = float(drawn.integers(0, 1_000)) * DAY if drawn.random() < 0.25 else None
    return StoredMemory(record, 1, multiscale.Trace.empty(LAB.trace), 0, recalled)


def _like(memory: StoredMemory, id: UUID, **changes: object) -> StoredMemory:
    fields = {name: getattr(memory.record, name) for name in memory.record.__slots__} | {"id": id} | changes
    return StoredMemory(MemoryRecord(**fields), 1, memory.trace, 0, memory.last_recalled_s)


def _vectors(records: Sequence[MemoryRecord]) -> NDArray[np.float32]:
    return unit_vectors(np.array([record.embedding for record in records], dtype=np.float64).reshape(-1, DIMENSION))


@contextmanager
def _open(make: Callable[[], VectorIndex]) -> Iterator[VectorIndex]:
    index = make()
    try:
        yield index
    finally:
        index.close()
