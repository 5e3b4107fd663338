"""Every embedder keeps one contract; those that read files or call functions refuse what they cannot use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import soma
from soma.embedding import FunctionEmbedder, HashingEmbedder, OnnxEmbedder, StaticEmbedder
from soma.embedding.by_name import NAMES, embedder_of
from soma.embedding.onnx import MINILM_MODEL, MINILM_TOKENIZER, _inside
from soma.errors import ConfigurationError, InvalidParameterError
from soma.testing.embedders import TEXTS, check_embedder


def letters(texts: list[str]) -> list[list[float]]:
    return [[1.0 + text.count(letter) for letter in "abc"] for text in texts]


LETTERS = FunctionEmbedder(letters, dimension=3, revision="letters-v1")


@pytest.fixture(scope="module")
def minilm() -> OnnxEmbedder:
    return OnnxEmbedder()


@pytest.mark.parametrize("make", [HashingEmbedder, StaticEmbedder, OnnxEmbedder, lambda: LETTERS])
def test_every_embedder_keeps_the_contract(make: Callable[[], object]) -> None:
    check_embedder(make(), [text for text in TEXTS if text != "a" * 700 or make is not HashingEmbedder])  # type: ignore[arg-type]


class ByNeighbours:
    """Lets the vector of a text depend on its batch."""

    name, revision, dimension = "wrong", "wrong-v1", 3

    def embed(self, texts):  # type: ignore[no-untyped-def]
        rows = LETTERS.embed(texts)
        return rows if len(rows) < 2 else np.roll(rows, 1, axis=1)


def test_an_embedder_that_looks_at_the_neighbours_is_convicted() -> None:
    with pytest.raises(AssertionError, match="depends on its batch"):
        check_embedder(ByNeighbours())


@pytest.mark.parametrize("name", NAMES)
def test_another_process_makes_the_same_bits(name: str) -> None:
    script = (
        "import sys; from soma.embedding.by_name import embedder_of; from soma.testing.embedders import TEXTS;"
        f"e = embedder_of({name!r}); sys.stdout.write(e.revision + ' ' + e.embed(TEXTS).tobytes().hex())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    embedder = embedder_of(name)
    assert done.stdout == f"{embedder.revision} {embedder.embed(TEXTS).tobytes().hex()}"


def test_meaning_counts_in_minilm(minilm: OnnxEmbedder) -> None:
    a, b, c = minilm.embed(["who repaired the timing bug?", "Ada fixed the flaky clock test", "the menu of the week"])
    assert a @ b > a @ c + 0.1
    assert (minilm.name, minilm.dimension) == ("all-MiniLM-L6-v2-int8", 384)
    assert minilm.revision.startswith("all-MiniLM-L6-v2-int8-t256@")


def test_one_text_is_run_once_however_often_it_stands_there(
    minilm: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    run = OnnxEmbedder._last_layer

    def counted(self: OnnxEmbedder, text: str) -> object:
        runs.append(text)
        return run(self, text)

    monkeypatch.setattr(OnnxEmbedder, "_last_layer", counted)
    minilm.embed(["one", "two", "one", " ", "one"])
    assert runs == ["one", "two"]


def test_a_text_is_cut_where_it_says(minilm: OnnxEmbedder) -> None:
    short = OnnxEmbedder(max_tokens=8)
    long = "clock " * 300
    assert np.array_equal(short.embed([long]), short.embed(["clock " * 6]))
    assert np.array_equal(minilm.embed([long]), minilm.embed([long + "and more"]))
    assert short.revision != minilm.revision


def test_a_model_by_its_folder_is_known_by_its_files(minilm: OnnxEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(_inside(*MINILM_MODEL), folder / "model.onnx")
    shutil.copy(_inside(*MINILM_TOKENIZER), folder / "tokenizer.json")
    mine = embedder_of(str(folder))
    assert mine.revision.partition("@")[2] == minilm.revision.partition("@")[2]
    assert mine.revision.startswith("mine-t256@")
    assert np.array_equal(mine.embed(TEXTS), minilm.embed(TEXTS))
    with soma.open(tmp_path / "store", embedder=str(folder)) as memory:
        memory.remember("Ada fixed the flaky clock test")
    with soma.open(tmp_path / "store") as memory:  # the store knows where its embedder is
        assert memory.embedder.revision == mine.revision
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match="cannot read"):
        soma.open(tmp_path / "store")


def test_a_store_remembers_minilm(tmp_path: Path) -> None:
    with soma.open(tmp_path, embedder="minilm") as memory:
        memory.remember("Ada fixed the flaky clock test")
        memory.remember("the menu of the week")
    with soma.open(tmp_path) as memory:
        best = memory.recall("who repaired the timing bug?", k=1, policy=soma.policy.similarity())
        assert best[0].record.text == "Ada fixed the flaky clock test"


def test_what_is_no_model_is_refused(tmp_path: Path, minilm: OnnxEmbedder) -> None:
    text, model, tokenizer = tmp_path / "text", _inside(*MINILM_MODEL), _inside(*MINILM_TOKENIZER)
    text.write_text("no model")
    for arguments, sentence in (
        ((model, None), "a model fits one tokenizer only"),
        ((tmp_path / "none", tokenizer), "cannot read"),
        ((text, tokenizer), "is not an ONNX model"),
        ((model, text), "is not a tokenizer.json"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            OnnxEmbedder(*arguments)
    with pytest.raises(ConfigurationError, match="max_tokens >= 1"):
        OnnxEmbedder(max_tokens=0)
    with pytest.raises(ConfigurationError, match="is expected, and the files hold all-MiniLM"):
        OnnxEmbedder(revision="all-MiniLM-L6-v2-int8-t256@000000000000")
    assert OnnxEmbedder(revision=minilm.revision).revision == minilm.revision
    with pytest.raises(ConfigurationError, match="choose hashing, static, minilm, a folder"):
        embedder_of("oracle")


@pytest.mark.parametrize(
    "function",
    [
        lambda texts: [[1.0, 2.0]] * len(texts),
        lambda texts: [[1.0, 2.0, float("nan")]] * len(texts),
        lambda texts: [[1.0, 2.0, 3.0]],
        lambda texts: "no numbers",
        lambda texts: [[1.0], [1.0, 2.0]],
    ],
)
def test_a_function_that_returns_anything_else_is_refused(function: Callable[[list[str]], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"letters-v2 returns"):
        FunctionEmbedder(function, dimension=3, revision="letters-v2").embed(["one", "two"])  # type: ignore[arg-type]


def test_a_function_is_not_asked_about_blank_texts() -> None:
    asked: list[str] = []

    def remember(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return letters(texts)

    FunctionEmbedder(remember, dimension=3, revision="r").embed(["", "one", " "])
    assert asked == ["one"]


@pytest.mark.parametrize(("dimension", "revision"), [(0, "r"), (2.0, "r"), (True, "r"), (3, ""), (3, " ")])
def test_a_function_has_a_dimension_and_a_name(dimension: int, revision: str) -> None:
    with pytest.raises(InvalidParameterError):
        FunctionEmbedder(letters, dimension=dimension, revision=revision)
