"""Laws of similarity: one cosine whose bits depend on the two vectors only, distances, and words."""

from __future__ import annotations

import math
import unicodedata
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soma.errors import InvalidParameterError
from soma.math.similarity import cosine, euclidean, lexical_overlap, nearness, tokens, unit_vectors

reals = st.floats(allow_nan=False, allow_infinity=False)
seeds = st.integers(0, 2**32 - 1)
dimensions = st.one_of(st.integers(1, 70), st.sampled_from([127, 128, 255, 384, 385]))
counts = st.one_of(st.integers(1, 9), st.sampled_from([31, 64, 100]))


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Draw rows of numbers of all sizes, some of them zero."""
    n, d, rng = draw(counts), draw(dimensions), np.random.default_rng(draw(seeds))
    rows = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-6, 7, size=(n, 1))
    rows[rng.random(n) < 0.1] = 0.0
    return rows


def layouts(rows: np.ndarray) -> list[np.ndarray]:
    """Return the same numbers as they may lie in memory."""
    n, d = rows.shape
    wide = np.zeros((2 * n, 3 * d), dtype=rows.dtype)
    wide[::2, ::3] = rows
    shifted = np.zeros(n * d + 1, dtype=rows.dtype)[1:].reshape(n, d)
    shifted[:] = rows
    return [
        np.asfortranarray(rows),
        wide[::2, ::3],
        rows[::-1].copy()[::-1],
        np.ascontiguousarray(rows[:, ::-1])[:, ::-1],
        shifted,
    ]


def assert_same_bits(one: np.ndarray, other: np.ndarray) -> None:
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


# unit vectors


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=reals))
@example(np.array([[1.7e308, -1.7e308], [5e-324, 0.0]]))
@example(np.array([[1e-200, 1e200], [3e-310, 4e-310]]))
def test_a_unit_vector_has_length_one_and_the_direction_it_had(rows: np.ndarray) -> None:
    units = unit_vectors(rows)
    assert units.dtype == np.float32
    for row, unit in zip(rows.tolist(), units.astype(np.float64), strict=True):
        if not any(row):
            assert not unit.any()
            continue
        # exact rationals until the one square root
        scale = Fraction(max(map(abs, row)))
        scaled = [Fraction(x) / scale for x in row]
        length = math.sqrt(sum(x * x for x in scaled))
        np.testing.assert_allclose(unit, [float(x) / length for x in scaled], rtol=6.1e-8, atol=1e-45)
        assert math.sqrt(sum(unit**2)) == pytest.approx(1.0, abs=1e-7)


@given(tables())
def test_a_vector_alone_becomes_what_it_becomes_among_others(rows: np.ndarray) -> None:
    for row, unit in zip(rows, unit_vectors(rows), strict=True):
        assert_same_bits(unit_vectors(row), unit)


@given(tables(), st.integers(-900, 900), st.floats(1e-9, 1e9))
def test_a_unit_vector_forgets_the_length(rows: np.ndarray, power: int, factor: float) -> None:
    units = unit_vectors(rows)
    assert_same_bits(unit_vectors(np.ldexp(rows, power)), units)
    np.testing.assert_allclose(unit_vectors(rows * factor), units, rtol=2e-7, atol=1e-38)
    assert_same_bits(unit_vectors(-rows), -units)
    np.testing.assert_allclose(unit_vectors(units), units, rtol=2e-7, atol=1e-38)


@given(tables(), st.data())
def test_a_unit_vector_is_the_same_whatever_is_asked_with_it(rows: np.ndarray, data: st.DataObject) -> None:
    units = unit_vectors(rows)
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    assert_same_bits(unit_vectors(rows[asked]), units[asked])
    assert_same_bits(unit_vectors(rows[0]), units[0])
    assert_same_bits(unit_vectors(rows[None, :, :]), units[None])
    for layout in layouts(rows):
        assert_same_bits(unit_vectors(layout), units)
    assert_same_bits(unit_vectors(rows.astype(np.float32)), unit_vectors(rows.astype(np.float32).tolist()))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4), (2, 3, 4)])
def test_a_unit_vector_keeps_its_shape(shape: tuple[int, ...]) -> None:
    units = unit_vectors(np.ones(shape))
    assert units.shape == shape
    assert units.dtype == np.float32
    assert unit_vectors([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_direction(dtype: type, wrong: float) -> None:
    rows: np.ndarray = np.ones((1_030, 1_024), dtype=dtype)
    rows[-1, -1] = wrong
    with pytest.raises(InvalidParameterError, match="finite"):
        unit_vectors(rows)


@pytest.mark.parametrize("wrong", [1.0, "text", ["a"], [1j], np.float32(2.0), None])
def test_what_is_no_vector_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidParameterError, match="vectors"):
        unit_vectors(wrong)


def test_unit_vectors_leave_their_argument_alone() -> None:
    rows = np.array([[3.0, 4.0]])
    unit_vectors(rows)
    assert rows.tolist() == [[3.0, 4.0]]


# cosine


@given(tables(), st.data())
def test_the_bits_of_a_cosine_do_not_depend_on_what_else_is_asked(rows: np.ndarray, data: st.DataObject) -> None:
    units = unit_vectors(rows)
    n, d = units.shape
    query = unit_vectors(np.random.default_rng(data.draw(seeds)).normal(size=d))
    whole = cosine(query, units)
    assert whole.dtype == np.float64
    assert whole.shape == (n,)
    asked = data.draw(st.lists(st.integers(0, n - 1), max_size=9))
    assert_same_bits(cosine(query, units[asked]), whole[asked])
    start, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 4))
    assert_same_bits(cosine(query, units[start::step]), whole[start::step])
    assert_same_bits(cosine(query, units[::-1]), whole[::-1])
    for i in {0, n // 2, n - 1}:
        assert_same_bits(cosine(query, units[i : i + 1]), whole[i : i + 1])
    strided = np.repeat(query, 2)[::2]
    for layout in layouts(units):
        assert_same_bits(cosine(query, layout), whole)
        assert_same_bits(cosine(strided, layout[asked]), whole[asked])


@given(seeds)
def test_the_bits_of_a_cosine_do_not_depend_on_the_chunk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # 1,025 numbers a row: 1,023 rows fill a chunk
    units = unit_vectors(np.repeat(rng.normal(size=(4, 1_025)), 600, axis=0).astype(np.float32))
    assert_same_bits(units, np.repeat(units[::600], 600, axis=0))
    whole = cosine(units[0], units)
    assert_same_bits(whole, np.repeat(cosine(units[0], units[::600]), 600))


@given(tables(), seeds)
def test_a_cosine_is_the_exact_product(rows: np.ndarray, seed: int) -> None:
    units = unit_vectors(rows)
    query = unit_vectors(np.random.default_rng(seed).normal(size=units.shape[1]))
    found = cosine(query, units)
    # products of two float32 are exact doubles, and fsum adds them exactly
    exact = [math.fsum(np.float64(query) * row) for row in units.astype(np.float64)]
    np.testing.assert_allclose(found, np.clip(exact, -1, 1), rtol=0, atol=1e-15)
    assert ((found >= -1) & (found <= 1)).all()


@given(tables(), seeds)
def test_a_cosine_is_symmetric_odd_and_one_with_itself(rows: np.ndarray, seed: int) -> None:
    units = unit_vectors(rows)
    query = unit_vectors(np.random.default_rng(seed).normal(size=units.shape[1]))
    found = cosine(query, units)
    assert_same_bits(np.concatenate([cosine(row, query[None]) for row in units]), found)
    assert (cosine(-query, units) == -found).all()
    for row in units:
        if row.any():
            assert cosine(row, row[None])[0] == pytest.approx(1.0, abs=2e-7)
            assert cosine(row, -row[None])[0] == pytest.approx(-1.0, abs=2e-7)


@given(tables())
def test_a_zero_vector_is_near_to_nothing(rows: np.ndarray) -> None:
    units = unit_vectors(rows)
    zero = np.zeros(units.shape[1], dtype=np.float32)
    assert_same_bits(cosine(zero, units), np.zeros(len(units)))
    assert (cosine(units[0], np.tile(zero, (3, 1))) == 0).all()


def test_a_cosine_beyond_one_is_cut() -> None:
    rows = unit_vectors(np.random.default_rng(0).normal(size=(200, 37)))
    lengths = np.array([math.fsum(row * row) for row in rows.astype(np.float64)])
    assert (lengths > 1).any()  # or this test would say nothing
    assert max(cosine(row, row[None])[0] for row in rows) == 1.0
    assert min(cosine(row, -row[None])[0] for row in rows) == -1.0


def test_cosines_of_no_rows_and_of_no_components() -> None:
    empty = np.zeros((0, 3), dtype=np.float32)
    assert cosine(np.zeros(3, dtype=np.float32), empty).shape == (0,)
    assert cosine(empty[:, 0], np.zeros((2, 0), dtype=np.float32)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("query", "rows"), [((3,), (2, 4)), ((3,), (3,)), ((), (2, 3)), ((1, 3), (2, 3)), ((3,), (1, 2, 3))]
)
def test_shapes_that_do_not_fit_are_refused(query: tuple[int, ...], rows: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameterError, match="must have shape"):
        cosine(np.zeros(query, dtype=np.float32), np.zeros(rows, dtype=np.float32))
    with pytest.raises(InvalidParameterError, match="must have shape"):
        euclidean(np.zeros(query), np.zeros(rows))


def test_only_single_precision_enters_the_one_kernel() -> None:
    query, rows = np.zeros(3, dtype=np.float32), np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(InvalidParameterError, match="query must be float32"):
        cosine(query.astype(np.float64), rows)
    with pytest.raises(InvalidParameterError, match="vectors must be float32"):
        cosine(query, rows.astype(np.float64))


# distance

points = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 6), st.integers(1, 5)),
    elements=st.one_of(reals, st.integers(-5, 5).map(float)),
)


@given(points)
@example(np.array([[3e200, 0.0], [0.0, 4e200]]))
@example(np.array([[3e-200, 0.0], [0.0, 4e-200]]))
@example(np.array([[1.7e308], [-1.7e308]]))
def test_a_distance_is_pythagoras(rows: np.ndarray) -> None:
    for row, found in zip(rows.tolist(), euclidean(rows[0], rows).tolist(), strict=True):
        differences = [Fraction(a) - Fraction(b) for a, b in zip(row, rows[0].tolist(), strict=True)]
        largest = max(map(abs, differences))
        if largest > Fraction(1.7e308):
            assert found > 1e308
        elif largest == 0:
            assert found == 0.0
        else:
            exact = largest * Fraction(math.sqrt(sum((x / largest) ** 2 for x in differences)))
            too_large = exact > Fraction(1.79e308)
            np.testing.assert_allclose(found, math.inf if too_large else float(exact), rtol=1e-14, atol=1e-322)


@given(tables(), seeds)
def test_a_distance_is_a_metric(rows: np.ndarray, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, rows.shape[1]))
    from_a, from_b = euclidean(a, rows), euclidean(b, rows)
    assert (from_a >= 0).all()
    assert euclidean(a, a[None]).tolist() == [0.0]
    assert_same_bits(np.concatenate([euclidean(row, a[None]) for row in rows]), from_a)
    assert (from_a <= (from_b + euclidean(a, b[None])) * (1 + 1e-12)).all()


@given(tables(), st.data())
def test_the_bits_of_a_distance_do_not_depend_on_what_else_is_asked(rows: np.ndarray, data: st.DataObject) -> None:
    query = np.random.default_rng(data.draw(seeds)).normal(size=rows.shape[1])
    whole = euclidean(query, rows)
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    assert_same_bits(euclidean(query, rows[asked]), whole[asked])
    assert_same_bits(euclidean(query, rows[:1]), whole[:1])
    for layout in layouts(rows):
        assert_same_bits(euclidean(query, layout), whole)
        assert_same_bits(euclidean(np.repeat(query, 2)[::2], layout[asked]), whole[asked])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_point_that_is_not_finite_has_no_distance(wrong: float) -> None:
    with pytest.raises(InvalidParameterError, match="query"):
        euclidean([wrong], [[0.0]])
    with pytest.raises(InvalidParameterError, match="points"):
        euclidean([0.0], [[wrong]])


@given(st.lists(st.floats(0, allow_nan=False), min_size=1))
def test_nearness_falls_with_distance_within_the_unit_interval(distances: list[float]) -> None:
    distances.sort()
    near = nearness(distances)
    assert ((near >= 0) & (near <= 1)).all()
    assert (np.diff(near) <= 0).all()
    assert ((near > 0) == np.isfinite(distances)).all()
    assert nearness(0.0) == 1.0
    for d, found in zip(distances, near.tolist(), strict=True):
        assert math.isinf(d) or found == pytest.approx(float(1 / (1 + Fraction(d))), rel=1e-15, abs=1e-323)


@pytest.mark.parametrize("wrong", [-1e-9, np.nan])
def test_a_distance_below_zero_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidParameterError, match="distance"):
        nearness([1.0, wrong])


# words

texts = st.one_of(
    st.text(max_size=40),
    st.text("abzABZ019_.-' éÉüßſİıΣς١Ⅷﬁहिन्दी\u0301\u0345\ufe0f好Ａ\n", max_size=40),
)


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@given(texts)
def test_a_word_is_made_of_letters_marks_digits_and_inner_underscores(text: str) -> None:
    for word in tokens(text):
        assert word[0].isalnum()
        assert not word.endswith("_")
        assert all(c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M" for c in word)
        assert word == word.casefold()


@given(texts)
def test_no_letter_or_digit_is_lost(text: str) -> None:
    assume("\u0345" not in text)  # a mark that folds to a letter
    kept = {c for word in tokens(text) for c in word if c.isalnum()}
    assert kept == {c for c in folded(text) if c.isalnum()}


@given(texts, texts)
def test_a_space_parts_words(one: str, other: str) -> None:
    assert tokens(f"{one} {other}") == tokens(one) + tokens(other)


@given(texts)
def test_words_are_their_own_words(text: str) -> None:
    found = tokens(text)
    assert set(found) <= set(tokens(" ".join(found)))
    assert tokens(" ".join(word for word in found if "_" not in word)) == tuple(w for w in found if "_" not in w)


@given(texts)
def test_forms_of_the_same_text_have_the_same_words(text: str) -> None:
    # U+0345 folds to a letter of its own, and so changes places with other marks
    assume("\u0345" not in unicodedata.normalize("NFD", text))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert tokens(unicodedata.normalize(form, text)) == tokens(text)


@given(st.text("abz019 .", max_size=30))
def test_case_does_not_matter_to_a_plain_word(text: str) -> None:
    assert tokens(text.upper()) == tokens(text)


@given(st.lists(st.from_regex(r"[a-z][a-z]+[0-9]?", fullmatch=True), min_size=2, max_size=5))
def test_an_identifier_is_kept_whole_and_split(parts: list[str]) -> None:
    snake = "_".join(parts)
    assert tokens(snake) == (snake, *parts)
    assert tokens(snake.upper()) == (snake, *parts)
    assert tokens(f"__{snake}__") == (snake, *parts)
    camel = "".join(part.capitalize() for part in parts)
    assert tokens(camel) == ("".join(parts), *parts)
    assert tokens(camel[0].lower() + camel[1:]) == ("".join(parts), *parts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("__ _ \u0301 ... \ud800", ""),
        ("parseHTML", "parsehtml parse html"),
        ("HTTPServer2", "httpserver2 http server2"),
        ("SHA256Sum", "sha256sum sha256 sum"),
        ("URLs and APIs", "urls and apis"),
        ("ABsolute", "absolute a bsolute"),
        ("GitHub", "github git hub"),
        ("a1b2c3d 2026 utf8", "a1b2c3d 2026 utf8"),
        ("don't re-use", "don t re use"),
        ("über naïve Müller", "über naïve müller"),
        ("ÜberMensch Größe", "übermensch über mensch grösse"),
        ("STRASSE Straße", "strasse strasse"),
        ("ΣΊΣΥΦΟΣ Σίσυφος", "σίσυφοσ σίσυφοσ"),
        ("हिन्दी में", "हिन्दी में"),
        ("ＡＢＣ ﬁne ½", "abc fine 1 2"),
        ("日本語の文 好", "日本語の文 好"),
        ("a__b \u0301_a", "a__b a b a"),
        ("a_\u0301", "a_\u0301"),
        ("A1B2C3D B2B MAX_V2", "a1b2c3d b2b max_v2 max v2"),
        ("X\u0302YoungMan", "x\u0302youngman x\u0302 young man"),
    ],
)
def test_words_of_texts_that_people_write(text: str, words: str) -> None:
    assert " ".join(tokens(text)) == words


# overlap

words = st.lists(st.sampled_from("abcdefgh"), max_size=8)


@given(words, words, words)
def test_overlap_is_the_share_of_the_distinct_words_asked(
    query: list[str], document: list[str], more: list[str]
) -> None:
    overlap = lexical_overlap(query, document)
    asked = set(query)
    assert overlap == (sum(word in document for word in asked) / len(asked) if asked else 0.0)
    assert 0.0 <= overlap <= 1.0
    assert overlap == lexical_overlap(set(query), set(document))
    assert overlap == lexical_overlap(query[::-1] * 2, tuple(document) * 2)
    assert overlap <= lexical_overlap(query, document + more)
    assert lexical_overlap(query, query) == bool(query)
    assert lexical_overlap([], document) == lexical_overlap(query, []) == 0.0
