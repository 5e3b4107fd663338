"""What tells the versions of FSRS apart, and the weights that their authors publish: as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["DEFAULT_WEIGHTS", "RULES", "WEIGHT_DOMAIN", "Grade", "Rules", "Version"]

Version: TypeAlias = Literal["4", "4.5", "5", "6"]


class Grade(IntEnum):
    """How a review went: AGAIN is a lapse, the others are recalls."""

    AGAIN = 1
    HARD = 2
    GOOD = 3
    EASY = 4


@dataclass(frozen=True, slots=True)
class Rules:
    """Where one version of FSRS differs from the others.

    Parameters
    ----------
    n_weights : int
        How many weights it has.
    exponent : float or None
        Exponent of the forgetting curve, > 0; None where it is the last weight.
    difficulty : {"linear", "damped"}
        Linear: the first difficulty and its changes are linear in the grade, and it tends to that of a first Good.
        Damped: the first is exponential in the grade, changes shrink towards 10, and it tends to that of a first Easy.
    lapse : {"free", "at most S", "below S"}
        What bounds the stability after a lapse: nothing, the stability before, or that over exp(w17 w18).
    same_day : {"as any", "short", "saturating"}
        What a review less than a day after the last one does: what any review does; multiply the stability by a factor
        of the grade; the same, but less the larger the stability, and never less than 1 for a recall.
    """

    n_weights: int
    exponent: float | None
    difficulty: Literal["linear", "damped"]
    lapse: Literal["free", "at most S", "below S"]
    same_day: Literal["as any", "short", "saturating"]


RULES: Final[Mapping[Version, Rules]] = MappingProxyType(
    {
        "4": Rules(17, 1.0, "linear", "free", "as any"),
        "4.5": Rules(17, 0.5, "linear", "at most S", "as any"),
        "5": Rules(19, 0.5, "damped", "below S", "short"),
        "6": Rules(21, None, "damped", "below S", "saturating"),
    }
)

# fmt: off
DEFAULT_WEIGHTS: Final[Mapping[Version, tuple[float, ...]]] = MappingProxyType(
    {
        "4": (0.4, 0.6, 2.4, 5.8, 4.93, 0.94, 0.86, 0.01, 1.49, 0.14, 0.94, 2.18, 0.05, 0.34, 1.26, 0.29, 2.61),
        "4.5": (
            0.4872, 1.4003, 3.7145, 13.8206, 5.1618, 1.2298, 0.8975, 0.031, 1.6474, 0.1367, 1.0461, 2.1072, 0.0793,
            0.3246, 1.587, 0.2272, 2.8755,
        ),
        "5": (
            0.40255, 1.18385, 3.173, 15.69105, 7.1949, 0.5345, 1.4604, 0.0046, 1.54575, 0.1192, 1.01925, 1.9395, 0.11,
            0.29605, 2.2698, 0.2315, 2.9898, 0.51655, 0.6621,
        ),
        "6": (
            0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629,
            1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
        ),
    }
)
"""The weights that each version is published with: fitted to many learners, days."""

WEIGHT_DOMAIN: Final[tuple[tuple[float, float], ...]] = (
    (0.001, 36_500.0), (0.001, 36_500.0), (0.001, 36_500.0), (0.001, 36_500.0),
    (0.0, 20.0), (0.0, 5.0), (0.0, 10.0), (0.0, 1.0),
    (-10.0, 10.0), (0.0, 1.0), (0.0, 5.0),
    (0.0, 10.0), (0.0, 1.0), (0.0, 1.0), (0.0, 5.0),
    (0.0, 10.0), (0.0, 10.0),
    (0.0, 5.0), (0.0, 5.0), (0.0, 1.0), (0.01, 2.0),
)
"""The least and the greatest value of each weight, ends included; wider than what any optimiser of FSRS keeps to."""
# fmt: on
