"""Laws of spreading by place: the neighbours in the order of time, and the terms that read words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError, SerializationError
from soma.math import policy as p
from soma.math.policy_windows import faded_postings, fading

X = p.similarity()
ratios = st.floats(0.01, 1.0)
reaches = st.integers(1, 6)


@st.composite
def placed(draw: st.DrawFn) -> dict[str, Any]:
    """Candidates in groups that lie out of reach of each other, some places of which are empty."""
    places = draw(st.lists(st.integers(0, 12) | st.integers(100, 112), min_size=1, max_size=20, unique=True))
    x = draw(
        st.lists(st.integers(-50, 50).map(float) | st.floats(-1e3, 1e3), min_size=len(places), max_size=len(places))
    )
    return {"similarity": np.array(x), "place.": np.array(places), "place.g": np.array(places)}


def mean_of_neighbours(table: dict[str, Any], ratio: float, reach: int) -> list[float]:
    """The definition, by two loops."""
    x, place = table["similarity"], table["place."].tolist()
    found = []
    for i in place:
        weights = [ratio ** abs(i - j) if abs(i - j) <= reach else 0.0 for j in place]
        found.append(math.fsum(w * v for w, v in zip(weights, x, strict=True)) / math.fsum(weights))
    return found


@given(placed(), ratios, reaches)
def test_neighbours_are_a_mean_that_fades_with_each_place(table: dict[str, Any], ratio: float, reach: int) -> None:
    got = p.neighbours(X, ratio=ratio, reach=reach).evaluate(table)
    size = np.abs(table["similarity"]).max() + 1
    assert np.allclose(got, mean_of_neighbours(table, ratio, reach), rtol=0, atol=1e-13 * size)
    assert got.min() >= table["similarity"].min() - 1e-13 * size
    assert got.max() <= table["similarity"].max() + 1e-13 * size


@given(placed(), ratios, reaches, st.data())
def test_the_order_of_the_rows_does_not_change_a_bit(
    table: dict[str, Any], ratio: float, reach: int, data: st.DataObject
) -> None:
    order = np.array(data.draw(st.permutations(range(len(table["place."])))))
    shuffled = {name: column[order] for name, column in table.items()}
    for node in (p.neighbours(X, "g", ratio=ratio, reach=reach), p.previous(X, "g")):
        assert node.evaluate(shuffled).tobytes() == node.evaluate(table)[order].tobytes()


@given(placed(), ratios, reaches, st.integers(-(10**6), 10**6))
def test_only_the_distance_of_places_counts(table: dict[str, Any], ratio: float, reach: int, by: int) -> None:
    node = p.neighbours(X, ratio=ratio, reach=reach) + p.previous(X)
    assert node.evaluate(table | {"place.": table["place."] + by}).tobytes() == node.evaluate(table).tobytes()


@given(placed(), ratios, reaches)
def test_who_is_out_of_reach_is_not_seen(table: dict[str, Any], ratio: float, reach: int) -> None:
    far = {name: np.append(column, 1e9 if name == "similarity" else 10**6) for name, column in table.items()}
    far = {name: column.astype(table[name].dtype) for name, column in far.items()}
    node = p.neighbours(X, ratio=ratio, reach=reach)
    assert node.evaluate(far)[:-1].tobytes() == node.evaluate(table).tobytes()
    assert node.evaluate(far)[-1] == 1e9


@given(placed(), ratios, reaches, st.data())
def test_words_spread_as_values_do(table: dict[str, Any], ratio: float, reach: int, data: st.DataObject) -> None:
    place = table["place."]
    counts = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=len(place), max_size=len(place)), max_size=3))
    dense = [np.array(count, dtype=np.float64) for count in counts]
    postings = [(np.flatnonzero(count), count[count > 0]) for count in dense]
    for count, (rows, got) in zip(dense, faded_postings(postings, place, ratio, reach), strict=True):
        before, after = fading(count, place, ratio, reach)
        want = count + before + after
        assert sorted(rows) == np.flatnonzero(want).tolist()
        assert np.allclose(got, want[rows], rtol=1e-12)


@given(placed())
def test_the_previous_is_the_value_one_place_before(table: dict[str, Any]) -> None:
    known = dict(zip(table["place."].tolist(), table["similarity"].tolist(), strict=True))
    assert p.previous(X).evaluate(table).tolist() == [known.get(place - 1, 0.0) for place in known]


@given(placed(), ratios, reaches)
def test_an_explanation_says_what_comes_from_before_and_after(table: dict[str, Any], ratio: float, reach: int) -> None:
    for row in range(len(table["place."])):
        why = p.neighbours(X, ratio=ratio, reach=reach).explain(table, row)
        x, own, before, after = [child.value for child in why.children]
        assert x == table["similarity"][row]
        assert why.value == own + before + after


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratio": 0.0},
        {"ratio": 1.1},
        {"ratio": math.nan},
        {"reach": 0},
        {"reach": 65},
        {"reach": 1.0},
        {"reach": True},
        {"group": ""},
        {"group": 3},
    ],
)
def test_settings_outside_their_domain_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidParameterError, match=f"^{name} must"):
        p.neighbours(X, **wrong)
    document = p.neighbours(X).to_dict()
    document["expression"] |= wrong if name != "ratio" or wrong[name] == wrong[name] else {"ratio": "x"}
    with pytest.raises(SerializationError, match=f"{name} must"):
        p.from_dict({field: value for field, value in document.items() if field != "sha256"})


@pytest.mark.parametrize("places", [[1, 1], [0.0, 1.0], ["a", "b"]])
def test_places_are_unique_whole_numbers(places: list[Any]) -> None:
    with pytest.raises(InvalidParameterError, match=r"^place\. must hold unique integers"):
        p.previous(X).evaluate({"similarity": [0.0, 1.0], "place.": places})


# The terms of words and times


@pytest.mark.parametrize(
    ("term", "text", "feature"),
    [
        (p.bm25(), "bm25()", "bm25"),
        (p.bm25(k1=0.9, b=0.4), "bm25()", "bm25"),
        (p.bm25(k1=2, b=1), "bm25(k1=2, b=1)", "bm25(k1=2, b=1)"),
        (p.bm25(ratio=0.6, reach=6), "bm25(ratio=0.6, reach=6)", "bm25(ratio=0.6, reach=6)"),
        (p.bm25(ratio=1, reach=1, group='a="b", c'), 'bm25(ratio=1, reach=1, group="a=\\"b\\", c")', None),
        (p.asks(), "asks()", "asks"),
        (p.n_words(), "n_words()", "n_words"),
        (p.mentions("by.name"), 'mentions("by.name")', "mentions.by.name"),
        (p.when(), "when()", "when"),
    ],
)
def test_a_term_of_words_is_a_value_a_formula_and_a_document(term: p.Policy, text: str, feature: str | None) -> None:
    feature = feature or text
    assert str(term) == text
    assert eval(text, {name: getattr(p, name) for name in ("bm25", "mentions", "when", "asks", "n_words")}) == term
    assert p.from_json(term.to_json()) == term
    assert term.features == {feature}
    if isinstance(term, p.BestMatch):
        assert p.BestMatch.of_feature(feature) == term
    assert term.is_pointwise
    assert term.why_not == f"the index keeps no range of {feature}"
    assert term.evaluate({feature: [0.25, 1.0]}).tolist() == [0.25, 1.0]
    assert [end.tolist() for end in term.bounds({feature: [0.25]}, {feature: [0.5]})] == [[0.25], [0.5]]
    assert term.latex().count("{") == term.latex().count("}")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: p.bm25(k1=-0.1),
        lambda: p.bm25(b=1.1),
        lambda: p.bm25(ratio=0.5),
        lambda: p.bm25(reach=1),
        lambda: p.bm25(ratio=0.5, reach=65),
        lambda: p.bm25(ratio=1.5, reach=1),
        lambda: p.bm25(group="g"),
        lambda: p.bm25(ratio=0.5, reach=1, group=""),
        lambda: p.bm25(k1=math.nan),
        lambda: p.mentions(""),
        lambda: p.mentions(3),  # type: ignore[arg-type]
        lambda: p.bm25().evaluate({"bm25": [-1.0]}),
        lambda: p.mentions("who").evaluate({"mentions.who": [1.5]}),
        lambda: p.when().evaluate({"when": [math.nan]}),
    ],
)
def test_what_is_outside_its_domain_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidParameterError):
        wrong()


def test_equal_parts_of_a_document_are_one_node() -> None:
    read = p.from_json((p.minmax(p.bm25()) + p.minmax(p.bm25())).to_json())
    assert read.operands[0] is read.operands[1]
