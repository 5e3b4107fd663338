"""The leaderboard: files in, models that see no future, a table with intervals; and what is known of one real log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from soma.cli import main
from soma.errors import InvalidParameterError, NotFoundError, SerializationError
from soma.lab.decay_bench import leaderboard
from soma.lab.review_models import MODELS, ReviewModel
from soma.lab.reviews import ReviewLog, read_reviews
from soma.math.units import DAY

QUICK = tuple(model for model in MODELS if model.name not in ("FSRS-6", "FSRS-5"))


def simulated(n_items: int = 60, n_reviews: int = 8, seed: int = 0) -> ReviewLog:
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(n_items), n_reviews)
    time_s = (1.7e9 + np.cumsum(rng.exponential(6.0, (n_items, n_reviews)), axis=1) * DAY).ravel()
    elapsed = np.diff(time_s, prepend=time_s[:1]) / DAY
    ease = np.repeat(rng.normal(2.0, 1.5, n_items), n_reviews)  # what earlier outcomes tell, and a curve alone cannot
    recall = 1.0 / (1.0 + np.exp(-(ease - 0.8 * np.log(np.maximum(elapsed, 0.5)))))
    grade = np.where(rng.random(len(item)) < recall, 3, 1).astype(np.int8)
    order = np.argsort(time_s, kind="stable")
    return ReviewLog(item[order], time_s[order], grade[order], rng.exponential(9e3, len(item)))


def as_csv(log: ReviewLog, path: Path) -> Path:
    lines = ["card_id,review_rating,review_time,review_duration"]
    assert log.duration_ms is not None
    rows = zip(log.item, log.grade, log.time_s, log.duration_ms, strict=True)
    lines += [f"card-{item},{grade},{float(time_s)!r},{float(ms)!r}" for item, grade, time_s, ms in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log = simulated()
    found = read_reviews(as_csv(log, tmp_path / "log.csv"))
    np.testing.assert_array_equal(found.time_s, log.time_s)
    np.testing.assert_array_equal(found.grade, log.grade)
    assert found.duration_ms is not None
    np.testing.assert_array_equal(found.duration_ms, log.duration_ms)
    assert len(set(zip(found.item.tolist(), log.item.tolist(), strict=True))) == 60  # the same items, renamed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("card_id,review_rating\n1,3", "lacks the column review_time"),
        ("", "lacks the column"),
        ("card_id,review_rating,review_time", "holds no review"),
        ("card_id,review_rating,review_time\n1,5,2026-03-01T00:00:00Z", "line 2: review_rating is '5'"),
        ("card_id,review_rating,review_time\n1,3,2026-03-01T00:00:00", "line 2: .*offset"),
        ("card_id,review_rating,review_time\n1,3,soon", "line 2: .*ISO 8601"),
        ("card_id,review_rating,review_time\n1,3,nan", "line 2"),
        ("card_id,review_rating,review_time\n,3,0", "line 2: a field is empty"),
        ("card_id,review_rating,review_time\n1", "line 2: a field is empty"),
        ("card_id,review_rating,review_time,review_duration\n1,3,0,-1", "line 2: review_duration"),
        ("card_id,review_rating,review_time,review_duration\n1,3,0,x", "line 2"),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SerializationError, match=message):
        read_reviews(path)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        read_reviews(tmp_path / "nothing.csv")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SerializationError, match="UTF-8"):
        read_reviews(tmp_path / "bytes")
    with pytest.raises(InvalidParameterError, match="at least 120"):
        leaderboard(simulated(5, 4), rng=np.random.default_rng(0))


@pytest.mark.parametrize("model", QUICK, ids=lambda model: model.name)
def test_no_model_sees_what_comes_later(model: ReviewModel) -> None:
    log = simulated()
    train, test = slice(0, 200), slice(200, 260)
    before = model.predict(log, train, test)
    assert before.shape == (60,)
    assert ((before >= 0) & (before <= 1)).all()
    first_test, last_test = int(log.rows[200]), int(log.rows[259])
    grade = log.grade.copy()
    grade[last_test] = 4 - grade[last_test]  # the outcome of the last one tested, and all that comes after it
    grade[last_test + 1 :] = 1
    changed = ReviewLog(log.item, log.time_s, grade, log.duration_ms)
    np.testing.assert_allclose(model.predict(changed, train, test), before, rtol=1e-12)
    assert first_test < last_test


def test_a_model_that_learns_from_outcomes_comes_first_where_items_differ() -> None:
    log = simulated(200, 8)
    table = leaderboard(log, models=QUICK, rng=np.random.default_rng(0), n_draws=200)
    assert table[0].model == "soma"
    assert [row.log_loss for row in table] == sorted(row.log_loss for row in table)
    assert table[0].behind == table[0].behind_low == table[0].behind_high == 0.0
    for row in table[1:]:
        assert row.behind_low <= row.behind <= row.behind_high
        assert row.behind == pytest.approx(row.log_loss - table[0].log_loss)
    assert {row.n_events for row in table} == {5 * (len(log.rows) // 6)}
    assert leaderboard(log, models=QUICK[:2], rng=np.random.default_rng(0)) == leaderboard(
        log, models=QUICK[:2], rng=np.random.default_rng(0)
    )


def test_the_command_prints_every_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(as_csv(simulated(40, 6), tmp_path / "log.csv"))
    done = CliRunner().invoke(main, ["bench", "decay", "--data", path, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert {row["model"] for row in rows} == {model.name for model in MODELS}
    assert {"model", "params", "log_loss", "rmse_bins", "auc", "n_events"} <= set(rows[0])
    missing = CliRunner().invoke(main, ["bench", "decay", "--data", str(tmp_path / "none.csv")])
    assert missing.exit_code == 2
    assert "none.csv" in missing.output


def test_on_one_real_log_the_published_figures_come_out(shared_data: Path) -> None:
    log = read_reviews(shared_data / "decay" / "py_fsrs_review_log_12580.csv")
    quick = [model for model in QUICK if model.name != "ACT-R"]  # which takes half a minute: .4738
    table = {row.model: row for row in leaderboard(log, models=quick, rng=np.random.default_rng(0), n_draws=300)}
    assert table["soma"].n_events == 4_440
    for name, log_loss, auc in (("FSRS-6 default", 0.4400, 0.658), ("FSRS-5 default", 0.4519, 0.663)):
        assert table[name].log_loss == pytest.approx(log_loss, abs=5e-5)
        assert table[name].auc == pytest.approx(auc, abs=5e-4)
    assert table["average"].log_loss == pytest.approx(0.4948, abs=5e-5)
    assert table["moving average"].log_loss == pytest.approx(0.4601, abs=5e-3)
    assert table["DASH"].log_loss == pytest.approx(0.4590, abs=5e-3)
    assert min(table, key=lambda name: table[name].log_loss) == "soma"
    assert table["FSRS-6 default"].behind_low > 0
