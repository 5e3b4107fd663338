"""Every value of the table of references, computed again by what soma offers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from soma.math import presets
from soma.math.decay import (
    Ebbinghaus,
    Exponential,
    ExponentialMidpoint,
    GaussianMidpoint,
    LinearMidpoint,
)
from soma.math.exponential_sum import alias_bound
from soma.math.isotonic import pool_adjacent_violators
from soma.math.policy import Policy
from soma.math.units import DAY, HOUR, MINUTE

ELSEWHERE: Final = {
    "fsrs6": "test_spacing_data.py",
    "fsrs4_curve": "test_spacing_data.py",
    "fsrs45_5_curve": "test_spacing_data.py",
    "sm2": "test_spacing_data.py",
    "actr": "test_activation.py",
    "_provenance": "words",
}


def ebbinghaus(values: Any) -> None:
    minutes = np.array([*values["t_min"], 19.0, 63.0, 525.0])
    kept = 100.0 * Ebbinghaus().value((minutes - 1.0) * MINUTE)
    assert kept.round(4).tolist() == [*values["b"], *values["b_at_19_63_525"]]


def retention(policy: Policy, strength: int) -> float:
    features = {"similarity": 1.0, "idle_s": DAY, "n_recalls": float(strength - 1)}
    return round(float(policy.evaluate(features)), 6)


def memorybank(values: Any) -> None:
    strengths = (1, 2, 5, 10)
    assert [retention(presets.memorybank_code(), s) for s in strengths] == values["code exp(-t/5*S) t=1 S=1,2,5,10"]
    assert [retention(presets.memorybank(), s) for s in strengths] == values["paper exp(-t/S)"]


def generative_agents(values: Any) -> None:
    curve = Exponential(half_life_s=values["half_life_h"] * HOUR)
    hours = np.array([1.0, 24.0, 168.0, 720.0])
    assert curve.value(hours * HOUR).tolist() == pytest.approx(values["0.995^h h=1,24,168,720"], rel=1e-12)
    for share, hours_to_half in ((0.995, values["half_life_h"]), (0.99, values["half_life_h_0.99"])):
        half_life_s = np.log(0.5) / np.log(share) * HOUR
        assert half_life_s / HOUR == pytest.approx(hours_to_half, rel=1e-12)
        assert float(Exponential(half_life_s).value(HOUR)) == pytest.approx(share, rel=1e-12)


def qdrant(values: Any) -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert ExponentialMidpoint(1.0).value(x).tolist() == pytest.approx(values["exp"], rel=1e-15)
    assert GaussianMidpoint(1.0).value(x).tolist() == pytest.approx(values["gauss"], rel=1e-15)
    assert LinearMidpoint(1.0).value(x).tolist() == values["lin"]


def pooled(values: Any) -> None:
    assert pool_adjacent_violators(values["in"]).tolist() == values["out"]


def exponential_sums(values: Any) -> None:
    (bounds,) = values.values()
    for ratio, bound in bounds["b=.5"].items():
        found = float(alias_bound(0.5, float(ratio.removeprefix("r="))))
        assert found == pytest.approx(bound, rel=2e-3)  # printed to three digits


CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "ebbinghaus1885_pct": ebbinghaus,
    "memorybank": memorybank,
    "generative_agents": generative_agents,
    "qdrant_decay(scale=1,midpoint=.5,target=0) x=0,1,2,3": qdrant,
    "pav": pooled,
    "exp_sum_power_law": exponential_sums,
}


@pytest.fixture(scope="module")
def references(shared_data: Path) -> Any:
    return json.loads((shared_data / "decay" / "reference_values.json").read_text("utf-8"))


def test_no_value_is_left_out(references: Any) -> None:
    assert set(references) == {*CHECKS, *ELSEWHERE}


@pytest.mark.parametrize("name", CHECKS)
def test_it_is_what_soma_computes(name: str, references: Any) -> None:
    CHECKS[name](references[name])
