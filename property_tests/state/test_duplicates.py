"""What is proposed as a duplicate is as similar as was asked to one that stays, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma import MemoryRecord
from soma.errors import InvalidParameterError
from soma.math.similarity import cosine, unit_vectors
from soma.state import duplicates
from soma.state.duplicates import find_duplicates


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[MemoryRecord], NDArray[np.float32]]:
    """Draw records with vectors that often come near each other, some the same, some zero."""
    n, d = draw(st.integers(0, 14)), draw(st.integers(1, 5))
    cells = st.sampled_from([0.0, 1.0, 1.05, -1.0, 0.3])
    rows = draw(st.lists(st.lists(cells, min_size=d, max_size=d), min_size=n, max_size=n))
    records = [
        MemoryRecord(
            id=UUID(int=number + 1),
            namespace="lab",
            coordinate=(0.0,),
            timestamp=draw(st.sampled_from([1.0, 2.0])),
            importance=draw(st.integers(0, 2)),
            pinned=draw(st.booleans()),
            text="x",
        )
        for number in range(n)
    ]
    return records, unit_vectors(np.array(rows, dtype=np.float32).reshape(n, d))


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    same = bool((one == other).all() and one.any())
    return 1.0 if same else float(cosine(one, other[None])[0])


@given(sets(), st.sampled_from([0.5, 0.9, 0.999, 1.0]))
def test_each_duplicate_is_similar_to_what_stays_and_nothing_similar_is_left(
    drawn: tuple[list[MemoryRecord], NDArray[np.float32]], threshold: float
) -> None:
    records, units = drawn
    found = find_duplicates(records, units, threshold=threshold)
    row = {record.id: units[number] for number, record in enumerate(records)}
    by_id = {record.id: record for record in records}
    gone = [id for group in found for id in group.others]
    assert len(gone) == len(set(gone))
    assert not set(gone) & {group.keep for group in found}
    for group in found:
        assert group.others
        for id, value in zip(group.others, group.similarities, strict=True):
            assert value == similarity(row[group.keep], row[id]) >= threshold
            assert not by_id[id].pinned
            assert worth(by_id[group.keep]) < worth(by_id[id])
        ranks = [worth(by_id[id]) for id in group.others]
        assert all(a < b for a, b in pairwise(ranks))
    left = [record for record in records if record.id not in set(gone)]
    for number, one in enumerate(left):
        for other in left[number + 1 :]:
            alike = similarity(row[one.id], row[other.id]) >= threshold
            assert not alike or (one.pinned and other.pinned)


def worth(record: MemoryRecord) -> tuple[bool, int, float, UUID]:
    return (not record.pinned, -record.importance, -record.timestamp, record.id)


@given(sets(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(
    drawn: tuple[list[MemoryRecord], NDArray[np.float32]], random: object
) -> None:
    records, units = drawn
    order = list(range(len(records)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = find_duplicates([records[i] for i in order], units[order], threshold=0.9)
    assert shuffled == find_duplicates(records, units, threshold=0.9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    centres = random.normal(size=(40, 8))
    units = unit_vectors((centres[random.integers(40, size=300)] + 0.05 * random.normal(size=(300, 8))).astype("f4"))
    one = MemoryRecord(id=UUID(int=1), namespace="lab", coordinate=(0.0,), timestamp=1.0, importance=1, text="x")
    records = [replace(one, id=UUID(int=number + 1)) for number in range(300)]
    whole = find_duplicates(records, units, threshold=0.97)
    monkeypatch.setattr(duplicates, "CELLS", 300 * 7)
    assert find_duplicates(records, units, threshold=0.97) == whole
    assert sum(len(group.others) for group in whole) > 100


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="threshold"):
        find_duplicates([], [], threshold=0.0)
    one = MemoryRecord(id=UUID(int=1), namespace="lab", coordinate=(0.0,), timestamp=1.0, importance=1, text="x")
    with pytest.raises(InvalidParameterError, match="one namespace"):
        find_duplicates([one, replace(one, namespace="other")], np.eye(2), threshold=0.9)
