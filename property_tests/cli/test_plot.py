"""``soma plot``: the file holds the figure of the lab's own function, byte for byte, whole or not at all."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pytest
from click.testing import CliRunner

import soma
from property_tests.cli.test_policy import refused, said, store
from soma import policy as p
from soma.cli import main
from soma.lab import plots
from soma.math.importance import Bounded, Ecdf, MinMax
from soma.math.units import DAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["store"]  # the fixture

NOW = "2026-04-01"
WITHOUT_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
from soma.cli import main
main()
"""


def rendered(axes: Axes, kind: str) -> bytes:
    """Return the bytes of a figure as a researcher would save it."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "soma"}):
        axes.figure.savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)  # type: ignore[union-attr]
    return file.getvalue()


def expected(name: str, store: Path) -> Axes:
    """Return the figure that the lab draws of the same data."""
    with soma.open(store, is_read_only=True) as memory:
        if name == "importance":
            raw = [record.importance for record in memory]
            learned = {"MinMax": MinMax().update(raw), "Ecdf": Ecdf().update(raw)}
            scale = Bounded(0.0, 10.0)
            return plots.normalisers({f"{scale!r}, the namespace's": scale, **learned}, raw)
        if name == "curves":
            week, month = (soma.decay.Exponential(half_life_s=days * DAY) for days in (7, 30))
            return plots.curves({f"redis: {week!r}": week, f"redis (2): {month!r}": month}, until_s=90 * DAY)
        hits = memory.recall("clock", k=3, policy=p.presets.redis(), now=NOW)
        return plots.recall(hits) if name == "recall" else plots.fading(hits, until_s=90 * DAY)


ASKED = ("clock", "-k", 3, "--policy", "redis", "--now", NOW)
CALLS: dict[str, tuple[Any, ...]] = {
    "recall": ASKED,
    "fading": (*ASKED, "--until", 90),
    "importance": (),
    "curves": ("redis", "--until", 90),
}


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("name", CALLS)
def test_the_file_holds_the_figure_of_the_lab(name: str, kind: str, store: Path, tmp_path: Path) -> None:
    file = tmp_path / f"figure.{kind}"
    where = () if name == "curves" else ("--path", store)
    assert said("plot", name, *CALLS[name], *where, "--out", file) == f"{file}\n"
    assert file.read_bytes() == rendered(expected(name, store), kind)
    again = tmp_path / f"again.{kind}"
    told = json.loads(said("plot", name, *CALLS[name], *where, "--out", again, "--json"))
    assert told == {"file": str(again), "bytes": len(again.read_bytes())}
    assert again.read_bytes() == file.read_bytes()


def test_another_moment_is_another_figure(store: Path, tmp_path: Path) -> None:
    for name, more in {"all": (), "first": ("--as-of", "@3")}.items():
        said("plot", "recall", "clock", "--path", store, "--out", tmp_path / f"{name}.png", *more)
    assert (tmp_path / "all.png").read_bytes() != (tmp_path / "first.png").read_bytes()


def test_nothing_is_replaced_without_being_told_to(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "figure.png"
    file.write_text("mine")
    assert "is there already" in refused("plot", "importance", "--path", store, "--out", file)
    assert file.read_text() == "mine"
    said("plot", "importance", "--path", store, "--out", file, "--force")
    assert file.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_drawn_is_said_in_one_sentence_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    figure, at = tmp_path / "figure.png", ("--path", store)
    cases = {
        "must end with .png or .svg": ("curves", "--out", tmp_path / "figure.gif"),
        "there is no folder": ("curves", "--out", tmp_path / "no" / "figure.png"),
        "must hold a forgetting curve": ("curves", "memorybank", "--out", figure),
        "no policy mine": ("curves", "mine", "--out", figure),
        "must not use activation here": ("fading", "clock", "--policy", "act_r", *at, "--out", figure),
        "no memory in namespace other": ("recall", "clock", *at, "-n", "other", "--out", figure),
        "no memory in namespace none": ("importance", *at, "-n", "none", "--out", figure),
        "there is no soma store": ("recall", "clock", "-p", tmp_path / "typo", "--out", figure),
    }
    for sentence, arguments in cases.items():
        assert sentence in refused("plot", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MATPLOTLIB, "plot", "curves", "--out", "figure.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(': pip install "soma-fractal-memory[lab]"\n')
    assert len(done.stderr.splitlines()) == 1


def test_days_that_are_none_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["plot", "curves", "--until", "0", "--out", str(tmp_path / "f.png")])
    assert done.exit_code == 2
    assert "--until" in done.stderr
