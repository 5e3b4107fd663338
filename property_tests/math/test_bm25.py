"""Laws of BM25: what words, their rarity and a text's length do to its score; and another implementation's scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.bm25 import Postings, bm25, shares

words = st.sampled_from(["clock", "flaky", "menu", "test", "wall"])
texts = st.lists(st.lists(words, max_size=8), min_size=1, max_size=12)
queries = st.lists(words, max_size=5)
k1s = st.floats(0.0, 3.0)
bs = st.floats(0.0, 1.0)


def postings_of(corpus: Sequence[Sequence[str]], asked: Sequence[str]) -> list[Postings]:
    counts = [np.array([list(text).count(word) for text in corpus]) for word in asked]
    return [(np.flatnonzero(count), count[count > 0]) for count in counts]


def scores(corpus: Sequence[Sequence[str]], query: Sequence[str], **constants: float) -> Any:
    asked = Counter(query)
    order = sorted(asked)
    lengths = [len(text) for text in corpus]
    return bm25(postings_of(corpus, order), [asked[word] for word in order], lengths, **constants)


@given(texts, queries, k1s, bs)
def test_a_score_is_the_sum_of_its_definition(corpus: list[list[str]], query: list[str], k1: float, b: float) -> None:
    mean = sum(map(len, corpus)) / len(corpus)
    for text, score in zip(corpus, scores(corpus, query, k1=k1, b=b), strict=True):
        wanted = 0.0
        for word in query:
            having = sum(word in other for other in corpus)
            rarity = math.log(1 + (len(corpus) - having + 0.5) / (having + 0.5))
            count = text.count(word)
            if count:
                wanted += rarity * count / (count + k1 * (1 - b + b * len(text) / mean))
        assert math.isclose(score, wanted, rel_tol=1e-12)


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 1.0)])
def test_the_scores_are_those_of_bm25s(k1: float, b: float) -> None:
    rng = np.random.default_rng(7)
    corpus = [[f"w{word}" for word in rng.zipf(1.5, rng.integers(3, 40)) % 200] for _ in range(300)]
    other = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float64")
    other.index(corpus, show_progress=False)
    for _ in range(20):
        query = [f"w{word}" for word in rng.zipf(1.5, 6) % 200]
        assert np.allclose(scores(corpus, query, k1=k1, b=b), other.get_scores(query), rtol=1e-12, atol=1e-12)


@given(texts, queries, st.data())
def test_the_order_of_the_texts_does_not_change_a_bit(
    corpus: list[list[str]], query: list[str], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(corpus))))
    assert scores([corpus[i] for i in order], query).tobytes() == scores(corpus, query)[order].tobytes()


@given(texts, queries, words)
def test_another_occurrence_never_lowers_the_score_of_a_text_of_the_same_length(
    corpus: list[list[str]], query: list[str], word: str
) -> None:
    query = [*query, word]
    with_less, with_more = [*corpus, ["-", "-", word]], [*corpus, ["-", word, word]]
    assert scores(with_more, query)[-1] >= scores(with_less, query)[-1] > 0


@given(texts, st.integers(1, 5))
def test_of_two_texts_alike_in_length_that_with_the_rarer_word_is_better(corpus: list[list[str]], n: int) -> None:
    known = [*corpus, ["rare", "-"], *[["common", "-"]] * (n + 1)]
    found = scores(known, ["rare", "common"])
    assert found[len(corpus)] > found[-1] > 0


@given(texts)
def test_a_longer_text_with_the_word_is_worth_less_and_at_b_0_as_much(corpus: list[list[str]]) -> None:
    known = [*corpus, ["rare"], ["rare", *["-"] * 9]]
    assert scores(known, ["rare"])[-2] > scores(known, ["rare"])[-1]
    assert scores(known, ["rare"], b=0.0)[-2] == scores(known, ["rare"], b=0.0)[-1]


@given(texts, queries)
def test_only_a_text_with_one_of_the_words_has_a_score(corpus: list[list[str]], query: list[str]) -> None:
    for text, score in zip(corpus, scores(corpus, query), strict=True):
        assert (score > 0) == bool(set(text) & set(query))


def test_no_word_in_any_text_is_no_score() -> None:
    assert scores([[], []], ["clock"]).tolist() == [0.0, 0.0]
    assert bm25([], [], []).tolist() == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"k1": -1}, "k1"), ({"k1": math.nan}, "k1"), ({"b": 1.5}, "b"), ({"asked": [1, 1]}, "asked")],
)
def test_what_is_outside_its_domain_is_named(changes: dict[str, Any], named: str) -> None:
    arguments: dict[str, Any] = {"postings": postings_of([["clock"]], ["clock"]), "asked": [1], "lengths": [1]}
    with pytest.raises(InvalidParameterError, match=f"^{named} must"):
        bm25(**arguments | changes)


@given(texts, queries, st.data())
def test_what_the_words_add_is_the_score_bit_for_bit(
    corpus: list[list[str]], query: list[str], data: st.DataObject
) -> None:
    asked = Counter(query)
    order, rows = sorted(asked), data.draw(st.lists(st.integers(0, len(corpus) - 1), max_size=4))
    found = shares(postings_of(corpus, order), [asked[word] for word in order], [len(text) for text in corpus], rows)
    total = np.zeros(len(rows))
    for share in found:
        total += share
    assert total.tobytes() == scores(corpus, query)[rows].tobytes()
    for word, share in zip(order, found, strict=True):
        assert (share > 0).tolist() == [word in corpus[row] for row in rows]


@given(texts, queries)
def test_how_many_have_a_word_may_be_said(corpus: list[list[str]], query: list[str]) -> None:
    asked = Counter(query)
    order = sorted(asked)
    known = postings_of(corpus, order), [asked[word] for word in order], [len(text) for text in corpus]
    assert bm25(*known, having=[len(rows) for rows, _ in known[0]]).tobytes() == bm25(*known).tobytes()
    rarer = bm25(*known, having=[0 for _ in order])
    assert (rarer >= bm25(*known)).all()
