"""Laws of the compiled products on processors that have less than this one: each makes the same integers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

import llvmlite.binding as llvm

known = llvm.get_host_cpu_features()
known.update(dict.fromkeys(sys.argv[1].split(), False))
llvm.get_host_cpu_features = lambda: known  # what numba compiles for, too

import numpy as np

from soma.math.quantised import code_query, code_vectors, cosine_between
from soma.math.similarity import unit_vectors
from soma.math.topk_numba import cosines

rng = np.random.default_rng(0)
for d in (1, 2, 16, 17, 32, 47, 48, 63, 64, 65, 112, 128, 144, 160, 176, 384, 400, 1_000, 1_024):
    vectors = unit_vectors(rng.normal(size=(9, d)) * np.exp(-20.0 * rng.random((9, d))))
    query, codes = code_query(vectors[3]), code_vectors(vectors)
    middle, reach = cosines(query, codes, np.array([0, 2, 1]), 4, 9)
    lower, upper = cosine_between(query, codes)
    rows = [0, 1, 2, 3, 8, 4, 5, 6, 7]
    assert np.array_equal(middle - reach, lower[rows]) and np.array_equal(middle + reach, upper[rows]), d
"""


@pytest.mark.parametrize("lacking", ["", "avx512bw", "avx512bw avx2"])
def test_every_processor_makes_the_same_products(lacking: str, tmp_path: Path) -> None:
    kept = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)} if lacking else None
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, lacking], capture_output=True, check=False, text=True, env=kept
    )
    assert done.returncode == 0, done.stderr
