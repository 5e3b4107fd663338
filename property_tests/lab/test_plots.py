"""The figures show the numbers: what stands behind the artists is compared, not pixels."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

import soma
from soma import DAY, YEAR, decay
from soma import policy as p
from soma.errors import InvalidParameterError
from soma.lab import plots
from soma.lab.recall import LabRecall


@pytest.fixture
def hits() -> LabRecall:
    with soma.create_memory("TEST") as memory:
        memory.remember("the clock is slow $5", importance=9)
        memory.remember("the clock test was repaired", importance=2)
        memory.remember("lunch was late")
        return memory.recall("clock test", k=3, policy=p.presets.dense())


def test_bars_are_scores_and_marks_are_factors(hits: LabRecall) -> None:
    axes = plots.recall(hits)
    assert [bar.get_width() for bar in axes.patches] == [hit.score for hit in hits]
    marks = {line.get_label(): np.asarray(line.get_xdata()).tolist() for line in axes.lines}
    assert marks["similarity"] == [max(0.0, hit.features["similarity"]) for hit in hits]
    assert marks["importance"] == [0.5 + 0.5 * hit.features["importance"] for hit in hits]
    assert np.allclose(np.prod([*marks.values()], axis=0), [hit.score for hit in hits], rtol=1e-12)
    assert [label.get_text().splitlines()[0] for label in axes.get_yticklabels()] == [
        (hit.record.text or "").replace("$", r"\$") for hit in hits
    ]


def test_a_factor_is_named_by_all_that_it_reads() -> None:
    words = p.bm25(ratio=0.5, reach=2, group="session") + p.mentions("speaker") + p.when()
    with soma.create_memory("TEST") as memory:
        memory.remember("the clock is slow", payload={"session": 1, "speaker": "Ada"})
        axes = memory.recall("clock", policy=words.clip(0, 1) * p.importance()).plot()
    assert [line.get_label() for line in axes.lines] == ["bm25, mentions, when", "importance"]


def test_a_sum_has_bars_and_no_marks() -> None:
    with soma.create_memory("TEST") as memory:
        memory.remember("the clock is slow")
        axes = memory.recall("clock", policy=p.similarity() - p.importance()).plot()
    assert not axes.lines
    assert axes.get_xlim()[0] <= axes.patches[0].get_width()


def test_lines_are_the_policy_at_later_times(hits: LabRecall) -> None:
    axes = plots.fading(hits, until_s=YEAR)
    for line, hit in zip(axes.lines, hits, strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        later = {**hit.features, "idle_s": hit.features["idle_s"] + x[-1] * DAY}
        assert y[0] == pytest.approx(hit.score)
        assert y[-1] == pytest.approx(float(hits.policy.evaluate(later)))
        assert (np.diff(y) <= 0).all()


def test_a_recall_lifts_the_first_line_to_where_it_started(hits: LabRecall) -> None:
    axes = plots.fading(hits, until_s=YEAR, recalled_after_s=[100 * DAY, 200 * DAY])
    marks = axes.lines[-1]
    assert np.asarray(marks.get_xdata()).tolist() == [100.0, 200.0]
    rested = float(hits.policy.evaluate({**hits[0].features, "idle_s": 0.0}))
    assert np.allclose(np.asarray(marks.get_ydata()), rested)


def test_a_policy_that_only_a_fold_can_move_on_is_refused() -> None:
    with soma.create_memory("TEST") as memory:
        memory.remember("the clock is slow")
        with pytest.raises(InvalidParameterError, match="trace"):
            plots.fading(memory.recall("clock", policy=p.trace()))


def test_curves_are_drawn_as_they_are_and_where_one_says() -> None:
    ax = Figure().add_subplot()
    family = {"week": decay.Exponential(7 * DAY), "slow": decay.Power(7 * DAY, 0.5)}
    assert plots.curves(family, until_s=60 * DAY, ax=ax) is ax
    for line, curve in zip(ax.lines, family.values(), strict=True):
        elapsed = np.asarray(line.get_xdata()) * DAY
        assert np.allclose(np.asarray(line.get_ydata()), curve.value(elapsed))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(family)


def test_an_empty_answer_is_drawn_empty_and_no_setting_is_changed() -> None:
    before = dict(mpl.rcParams)
    with soma.create_memory("TEST") as memory:
        assert not plots.recall(memory.recall("clock")).patches
    assert dict(mpl.rcParams) == before


def test_a_notebook_shows_axes_and_figures_without_pyplot(hits: LabRecall) -> None:
    axes = hits.plot()
    for shown in (axes, axes.figure):
        data, _ = DisplayFormatter().format(shown)
        assert data["image/png"].startswith(b"\x89PNG"), sorted(data)
    own = Figure().add_subplot()
    assert plots.recall(hits, ax=own) is own
