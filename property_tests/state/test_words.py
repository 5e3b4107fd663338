"""Laws of the words that are searched, of paths into payloads, and of the terms that read them."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import InvalidParameterError, MemoryRecord, MinimalSoma
from soma import policy as p
from soma.math.similarity import tokens
from soma.state.paths import at_path, label
from soma.state.words import STOP_WORDS, stems

texts = st.text(max_size=60)


@given(texts, texts)
def test_the_words_of_two_texts_are_those_of_one_and_those_of_the_other(one: str, other: str) -> None:
    assert stems(f"{one}\n{other}") == stems(one) + stems(other)


@given(texts)
def test_case_and_punctuation_are_no_part_of_a_word(text: str) -> None:
    assert stems(f"«{text}»!") == stems(text)
    if text.isascii() and "_" not in text and text.islower():
        assert stems(text.upper()) == stems(text)


@given(texts)
def test_words_without_their_stop_words_are_as_many_as_the_tokens_without_theirs(text: str) -> None:
    assert len(stems(text)) == sum(token not in STOP_WORDS for token in tokens(text))


@pytest.mark.parametrize(
    ("forms", "stem"),
    [("test tests tested testing", "test"), ("Painting paintings painted", "paint"), ("clock clocks", "clock")],
)
def test_the_forms_of_a_word_are_one(forms: str, stem: str) -> None:
    assert set(stems(forms)) == {stem}


def test_the_words_of_a_question_are_left_out() -> None:
    assert stems("When did they, and why would she, do it?") == ()
    assert stems("What's Ada's parseHTML doing in http_clients?") == (
        "ada",
        "parsehtml",
        "pars",
        "html",
        "http_client",
        "http",
        "client",
    )


values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
names = st.text("abc", min_size=1, max_size=2)
payloads = st.dictionaries(names, st.recursive(values, lambda inner: st.dictionaries(names, inner, max_size=3)))


@given(payloads, st.lists(names, min_size=1, max_size=4))
def test_a_path_goes_down_field_by_field(payload: dict, path: list[str]) -> None:  # type: ignore[type-arg]
    value: object = payload
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    assert at_path(payload, ".".join(path)) == value


@given(values, values)
def test_a_label_tells_two_values_apart(one: object, other: object) -> None:
    are_one = one == other and isinstance(one, bool) == isinstance(other, bool)
    assert (label(one) == label(other)) == are_one


def test_a_field_whose_name_is_the_rest_of_the_path_goes_first() -> None:
    assert at_path({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert at_path({"a": {"b.c": 3}}, "a.b.c") == 3
    assert at_path({"a": [1]}, "a.0") is None


# Terms


def state(*payloads: object) -> MinimalSoma:
    found = MinimalSoma(dim=1)
    for number, payload in enumerate(payloads):
        found = found.store(
            MemoryRecord(id=UUID(int=number), coordinate=[0.0], timestamp=0, importance=0, payload=payload, text="-")  # type: ignore[arg-type]
        )
    return found


def by_id(found: object) -> list[float]:
    return [hit.score for hit in sorted(found, key=lambda hit: hit.record.id)]  # type: ignore[call-overload]


def test_a_memory_mentions_what_its_field_shares_with_the_question() -> None:
    payloads = [{"by": who} for who in ("Ada", "Ada Lovelace", ["Grace", "ADA!"], 17, True, {"x": "Ada"}, "", None)]
    found = state(*payloads, {}).recall("Was it Ada's, in issue 17?", now_s=0, k=9, policy=p.mentions("by"))
    assert by_id(found) == [1.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert found[0].features == {"mentions.by": 1.0}


def test_words_count_over_what_the_filters_admit() -> None:
    held = MinimalSoma(dim=1)
    for number, text in enumerate(["clock clocks", "the clock", "a menu", "menus", "menu"]):
        tags = ["few"] if number in (0, 2) else []
        held = held.store(
            MemoryRecord(id=UUID(int=number), coordinate=[0.0], timestamp=0, importance=0, text=text, tags=tags)
        )
    everything = by_id(held.recall("Which clocks?", now_s=0, k=9, policy=p.bm25()))
    few = by_id(held.recall("Which clocks?", now_s=0, k=9, policy=p.bm25(), tags=["few"]))
    assert everything[0] > everything[1] > 0 == everything[2] == everything[3] == everything[4]
    assert few[0] > 0 == few[1]
    assert few[0] != everything[0]


@pytest.mark.parametrize("policy", [p.bm25(), p.lexical(), p.when(), p.mentions("by")])
def test_a_query_without_words_is_refused_by_name(policy: p.Policy) -> None:
    (feature,) = policy.features
    with pytest.raises(InvalidParameterError, match=f"must have a text, because the policy uses {feature}"):
        state({}).recall([0.0], now_s=0, policy=policy)


def test_an_explanation_says_what_each_word_adds() -> None:
    held = MinimalSoma(dim=1)
    for number, text in enumerate(["The clock is flaky", "A clock, clocks", "menu", "Who fixed it?"]):
        payload = {"sitting": "one"} if number < 3 else {}
        record = MemoryRecord(
            id=UUID(int=number), coordinate=[0.0], timestamp=number, importance=0, text=text, payload=payload
        )
        held = held.store(record)
    near = p.bm25(ratio=0.5, reach=2, group="sitting")
    for policy in (p.bm25(), near, 2 * p.bm25() + p.minmax(near)):
        found = held.recall("flaky clocks?", now_s=9, k=4, policy=policy)
        for hit in found:
            assert set(hit.reasons) == {name for name in policy.features if name.startswith("bm25")}
            for name, words in hit.reasons.items():
                assert set(words) <= {"clock", "flaki"}
                assert sum(words.values()) == pytest.approx(hit.features[name], rel=1e-12)
    plain = held.recall("flaky clocks?", now_s=9, k=4, policy=p.bm25())
    assert {hit.record.id.int: sorted(hit.reasons["bm25"]) for hit in plain} == {
        0: ["clock", "flaki"],
        1: ["clock"],
        2: [],
        3: [],
    }
    assert [child.label for child in plain.explain().children] == ["'clock'", "'flaki'"]
    wide = held.recall("flaky clocks?", now_s=9, k=4, policy=near)
    assert {hit.record.id.int: sorted(hit.reasons[near.reads[0]]) for hit in wide}[2] == ["clock", "flaki"]
