"""Laws of embedding: a pure function of one text, unit rows, and the formulas as they are written."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, sha256
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from soma.embedding import Embedder, HashingEmbedder, StaticEmbedder
from soma.errors import ConfigurationError, InvalidParameterError
from soma.math.similarity import tokens

STATIC = StaticEmbedder()
EMBEDDERS = [HashingEmbedder(), HashingEmbedder(8), HashingEmbedder(1_000), STATIC]
each = pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda e: e.revision)

WORDS = [
    "decay",
    "memory",
    "Ada",
    "clockTest",
    "a",
    "naïve",
    "日本語",
    "snake_case",
    "x1",
    "\ud800",
    "!",
    "ﬁne",
]
texts = st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
batches = st.lists(texts, max_size=8)


@each
@given(batches)
def test_rows_have_length_one_or_zero(embedder: Embedder, batch: list[str]) -> None:
    rows = embedder.embed(batch)
    assert rows.dtype == np.float32
    assert rows.shape == (len(batch), embedder.dimension)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    assert np.all((np.abs(lengths - 1.0) < 1e-6) | (lengths == 0.0))


@each
@given(batches, st.randoms(use_true_random=False))
def test_a_text_is_embedded_alike_in_any_batch(embedder: Embedder, batch: list[str], shuffler: Random) -> None:
    rows = embedder.embed(batch)
    order = list(range(len(batch)))
    shuffler.shuffle(order)
    np.testing.assert_array_equal(embedder.embed([batch[i] for i in order]), rows[order])
    for text, row in zip(batch, rows, strict=True):
        np.testing.assert_array_equal(embedder.embed((text,))[0], row)


@each
def test_many_texts_are_embedded_as_each_of_them(embedder: Embedder) -> None:
    many = [" ".join(WORDS[(i * j) % 11] for j in range(i % 7)) + f" {i % 700}" for i in range(2_500)]
    many[5] = "long text " * 40_000
    rows = embedder.embed(many)
    for i in (0, 5, 6, 511, 512, 1_023, 1_024, 2_499):
        np.testing.assert_array_equal(embedder.embed([many[i]])[0], rows[i])


@each
@given(st.text(" \t\n\r\u3000", max_size=5))
def test_blank_text_has_no_direction(embedder: Embedder, blank: str) -> None:
    assert not embedder.embed([blank]).any()


@each
def test_a_text_with_words_has_a_direction(embedder: Embedder) -> None:
    assert embedder.embed([w for w in WORDS if w.isalnum()]).any(axis=1).all()


@each
def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


@each
@given(st.text(max_size=8), st.text(max_size=8))
def test_a_lone_surrogate_counts_as_the_replacement_character(embedder: Embedder, a: str, b: str) -> None:
    odd, replaced = embedder.embed([f"one{a}\udcff{b}two", f"one{a}\ufffd{b}two"])
    np.testing.assert_array_equal(odd, replaced)


@each
@pytest.mark.parametrize("wrong", ["one text", b"bytes", ["a", None], [1], [b"x"], None, 3])
def test_anything_but_a_sequence_of_strings_is_refused(embedder: Embedder, wrong: list[str]) -> None:
    with pytest.raises(InvalidParameterError, match="texts"):
        embedder.embed(wrong)


@each
def test_every_embedder_keeps_the_protocol(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert embedder.revision.startswith(embedder.name)
    assert str(embedder.dimension) in embedder.revision


@each
def test_threads_change_nothing(embedder: Embedder) -> None:
    batch = [f"{w} number {i}" for i in range(40) for w in WORDS]
    expected = embedder.embed(batch)
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(embedder.embed, [batch] * 16):
            np.testing.assert_array_equal(rows, expected)


def in_a_fresh_interpreter(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# hashing


def mixed(h: int) -> int:
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = ((h ^ (h >> 33)) * multiplier) % 2**64
    return h ^ (h >> 33)


def by_hand(text: str, dimension: int) -> np.ndarray:
    """The formula of the docstring, feature by feature, with the hashes in plain integers."""
    words = list(tokens(text))
    features: list[tuple[int, float]] = []
    hashes = {w: int.from_bytes(blake2b(w.encode(), digest_size=8).digest(), "little") for w in words}
    for word in dict.fromkeys(words):
        weight = min(len(word), 6) / 6 * math.sqrt(words.count(word))
        features.append((hashes[word], 65_536 * weight))
        marked = f"\x02{word}\x03"
        for n in (3, 4, 5):
            for i in range(len(marked) - n + 1):
                h = 0xCBF29CE484222325
                for character in marked[i : i + n]:
                    h = ((h ^ ord(character)) * 0x100000001B3) % 2**64
                features.append((mixed(h), 32_768 * weight))
    pairs = list(pairwise(words))
    for first, second in dict.fromkeys(pairs):
        h = mixed((hashes[first] * 0x9E3779B97F4A7C15 + hashes[second]) % 2**64)
        features.append((h, 16_384 * math.sqrt(pairs.count((first, second)))))
    vector = np.zeros(dimension)
    for h, amplitude in features:
        vector[(h >> 1) % dimension] += np.rint(amplitude) if h % 2 else -np.rint(amplitude)
    norm = np.linalg.norm(vector)
    return (vector / norm if norm else vector).astype(np.float32)


@given(texts, st.integers(8, 2_000))
@example("a a b a b a", 64)
def test_the_vector_is_the_formula_worked_by_hand(text: str, dimension: int) -> None:
    row = HashingEmbedder(dimension).embed(["decay of memory", text])[1]
    np.testing.assert_allclose(row, by_hand(text.replace("\ud800", "\ufffd"), dimension), rtol=0, atol=1e-7)


PINNED = ["fix the flaky clock test", "Ada Lovelace", "soma/math/decay.py", "日本語 naïve", "a a a b", ""]


def test_version_one_gives_these_bytes_on_every_machine() -> None:
    digest = sha256(HashingEmbedder().embed(PINNED).astype("<f4").tobytes()).hexdigest()
    assert (HashingEmbedder().revision, digest) == (
        "hashing-v1-d256",
        "d41890c16c22092f028462b3c7fa6edcb0630c9916dac581d04fd60b32059472",
    )


def test_the_seed_of_builtin_hashes_changes_nothing() -> None:
    code = f"from soma.embedding import HashingEmbedder as H; print(H(64).embed({PINNED!r}).tobytes().hex())"
    expected = HashingEmbedder(64).embed(PINNED).tobytes().hex()
    assert {in_a_fresh_interpreter(code, PYTHONHASHSEED=seed) for seed in ("1", "2")} == {expected}


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_unrelated_texts_are_as_near_as_chance_has_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = np.array([chr(c) for c in range(0x4E00, 0x9000)])  # so many that texts share no part of a word
    rows = HashingEmbedder(256).embed([" ".join("".join(rng.choice(letters, 6)) for _ in range(8)) for _ in range(60)])
    cosines = (rows @ rows.T)[np.triu_indices(60, 1)]
    assert abs(np.sqrt(np.mean(cosines**2)) * math.sqrt(256) - 1.0) < 0.15
    assert abs(np.mean(cosines)) < 0.01


@given(st.permutations(["fixed", "clock", "decays", "memory", "policies", "kafka"]), st.integers(1, 5))
def test_texts_that_share_words_or_stems_are_nearer_than_others(words: list[str], shared: int) -> None:
    hashing = HashingEmbedder()
    text, same, stems, other = hashing.embed(
        [
            " ".join(words[:shared]),
            " ".join([*words[:shared], "the"]),
            " ".join(w[:-1] for w in words[:shared]),
            " ".join(["quux", "gibbon", "bazaar", "zephyr", "oblong"][:shared]),
        ]
    )
    assert text @ same > text @ stems > max(text @ other, 0.1)


def test_the_order_of_words_is_seen() -> None:
    a, b, c = HashingEmbedder().embed(["dog bites man", "man bites dog", "dog bites man"])
    assert a @ b < 0.99
    assert a @ b > 0.7
    np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("dimension", [7, 0, -1, 65_537, True, 256.0, "256"])
def test_a_dimension_outside_its_domain_is_refused(dimension: int) -> None:
    with pytest.raises(InvalidParameterError, match="dimension"):
        HashingEmbedder(dimension)


# static

VOCABULARY = {"[UNK]": 0, "red": 1, "blue": 2, "green": 3, "[PAD]": 4}
TABLE = np.array([[1, 1, 1], [2, 0, 0], [0, 3, 0], [0, -3, 0], [9, 9, 9]], dtype=np.float16)


def model_in(folder: Path, table: np.ndarray = TABLE, **tensors: np.ndarray) -> tuple[Path, Path]:
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(pad_id=4, pad_token="[PAD]", length=6)
    tokenizer.enable_truncation(2)
    tokenizer.save(os.fspath(folder / "tokenizer.json"))
    save_file({"embedding.weight": table, **tensors}, folder / "colours.safetensors")
    return folder / "colours.safetensors", folder / "tokenizer.json"


@given(st.lists(st.sampled_from(["red", "blue", "green", "mauve", "pink"]), max_size=12))
def test_the_row_is_the_mean_of_its_tokens_worked_by_hand(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    small = StaticEmbedder(*model_in(tmp_path_factory.getbasetemp()))
    assert (small.name, small.dimension) == ("colours", 3)
    mean = np.mean([TABLE[VOCABULARY.get(w, 0)] for w in words] or [[0, 0, 0]], axis=0, dtype=np.float64)
    norm = np.linalg.norm(mean)
    row = small.embed([" ".join(words), "red blue green red"])[0]
    np.testing.assert_allclose(row, mean / norm if norm > 1e-9 else mean, rtol=0, atol=1e-6)


def test_it_agrees_with_wordllama_itself() -> None:
    from wordllama import WordLlama

    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.submodule_search_locations
    # its own search misses the tokenizer in its wheel, and then asks the network
    theirs = WordLlama.load(cache_dir=Path(spec.submodule_search_locations[0]), disable_download=True)
    batch = [w for w in WORDS if w.isalnum()] + [
        "who repaired the timing bug?",
        "a\nb",
        "x " * 2_000,
        "日本語 text",
    ]
    cosines = np.sum(theirs.embed(batch, norm=True) * STATIC.embed(batch), axis=1)
    np.testing.assert_allclose(cosines, 1.0, atol=1e-5)


def test_meaning_counts_not_letters() -> None:
    clock, timing, cake = STATIC.embed(["repair the clock", "fix a timing bug", "bake a cake"])
    assert clock @ timing > clock @ cake + 0.1


def test_the_revision_changes_with_either_file(tmp_path: Path) -> None:
    table, tokenizer = model_in(tmp_path)
    first = StaticEmbedder(table, tokenizer).revision
    assert StaticEmbedder(os.fspath(table), tokenizer).revision == first
    tokenizer.write_text(tokenizer.read_text().replace("red", "rot"))
    second = StaticEmbedder(table, tokenizer).revision
    model_in(tmp_path, TABLE * 2)
    third = StaticEmbedder(table, tokenizer).revision
    assert len({first, second, third}) == 3
    assert STATIC.revision == "wordllama-l2-supercat-256@4d243a4b2dae"


def test_nothing_is_loaded_before_it_is_needed_and_wordllama_never() -> None:
    code = (
        "import sys, soma.embedding as e; heavy = {'tokenizers', 'safetensors', 'wordllama', 'scipy.sparse'};"
        "print(sorted(heavy & set(sys.modules))); e.StaticEmbedder().embed(['x']);"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert in_a_fresh_interpreter(code).split("\n") == ["[]", "['safetensors', 'scipy.sparse', 'tokenizers']"]


@pytest.mark.parametrize("missing", ["wordllama", "tokenizers", "safetensors", "safetensors.numpy"])
def test_a_missing_package_is_told_with_the_command_that_installs_it(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from soma.embedding import StaticEmbedder\nfrom soma.errors import ConfigurationError\n"
        "try: StaticEmbedder()\nexcept ConfigurationError as error: print(error)"
    )
    said = in_a_fresh_interpreter(code)
    assert said.startswith(missing.partition(".")[0])
    assert said.endswith('not installed: run `pip install "soma-fractal-memory[embed]"`')


def test_one_path_without_the_other_is_refused(tmp_path: Path) -> None:
    table, tokenizer = model_in(tmp_path)
    for paths in ((table, None), (None, tokenizer)):
        with pytest.raises(ConfigurationError, match="give both paths"):
            StaticEmbedder(*paths)


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", b"\xff" * 100, b"[1]"])
def test_malformed_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    table, tokenizer = model_in(tmp_path)
    odd = tmp_path / "odd"
    odd.write_bytes(content)
    for paths in ((table, odd), (odd, tokenizer)):
        with pytest.raises(ConfigurationError, match="odd is not a"):
            StaticEmbedder(*paths)
    for paths in ((table, tmp_path / "none"), (tmp_path, tokenizer)):
        with pytest.raises(ConfigurationError, match="cannot read"):
            StaticEmbedder(*paths)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE[:4], "tokens beyond the 4 vectors"),
        (TABLE.astype(np.int8), "exactly one matrix of floats"),
        (TABLE.ravel(), "exactly one matrix of floats"),
        (np.full_like(TABLE, np.nan), "NaN or infinity"),
        (np.full_like(TABLE, -np.inf), "NaN or infinity"),
        (TABLE[:, :0], "is empty"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, table: np.ndarray, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        StaticEmbedder(*model_in(tmp_path, np.ascontiguousarray(table)))


def test_a_table_of_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    table, tokenizer = model_in(tmp_path)
    header = b'{"w":{"dtype":"BF16","shape":[5,1],"data_offsets":[0,10]}}'
    table.write_bytes(len(header).to_bytes(8, "little") + header + bytes(10))
    with pytest.raises(ConfigurationError, match="numbers that NumPy knows"):
        StaticEmbedder(table, tokenizer)


def test_two_tables_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="exactly one matrix"):
        StaticEmbedder(*model_in(tmp_path, other=TABLE))
