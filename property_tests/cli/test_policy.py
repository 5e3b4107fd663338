"""``soma policy``: what is shown is the policy, what is fitted can be used, what is compared is what recall says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import soma
from property_tests.cli.test_commands import answer, run
from property_tests.lab.test_decay_bench import as_csv, simulated
from soma import policy as p
from soma.cli import main
from soma.lab.review_fits import fit_reviews
from soma.lab.reviews import read_reviews
from soma.math.units import DAY

T0 = 1_772_323_200.0


def said(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert (done.exit_code, done.stdout) == (2, ""), done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four memories of the clock, the older ones the more important."""
    path = tmp_path_factory.mktemp("store")
    with soma.open(path, clock=lambda: T0) as memory:
        for age in range(4):
            memory.remember(f"the clock was {age} days slow", timestamp=T0 - age * 30 * DAY, importance=2 * age)
    return path


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_csv(simulated(40, 6), tmp_path_factory.mktemp("reviews") / "reviews.csv")


@pytest.mark.parametrize("name", p.presets.PRESETS)
def test_every_preset_is_shown_as_what_it_is(name: str) -> None:
    policy = p.presets.PRESETS[name]()
    shown = json.loads(said("policy", "show", name, "--json"))
    assert p.from_dict(shown["document"]) == policy
    assert (shown["formula"], shown["sha256"]) == (str(policy), policy.content_hash)
    assert (set(shown["features"]), shown["index_servable"]) == (policy.features, policy.index_servable)
    text = said("policy", "show", name)
    assert text.splitlines()[0] == str(policy)
    assert policy.content_hash in text
    assert ("serves it exactly" in text) == policy.index_servable
    assert policy.why_not in text
    assert said("policy", "show", name, "--latex") == policy.formula.latex + "\n"


def test_without_a_name_the_default_is_shown_down_to_its_terms() -> None:
    text = said("policy", "show")
    assert text.startswith(str(p.default()))
    for term in p.default().features:
        assert re.search(rf"─ {term}\(\)$", text, re.MULTILINE)


def test_every_preset_is_listed_with_its_source() -> None:
    rows = json.loads(said("policy", "show", "--presets", "--json"))
    assert [row["name"] for row in rows] == list(p.presets.PRESETS)
    for row in rows:
        assert row["what"]
        assert "math::" not in row["what"]
        assert (row["source"] == "soma") == (row["name"] in ("default", "dense", "conversation"))
        assert row["formula"] in said("policy", "show", "--presets")


def test_a_file_is_shown_like_a_preset_and_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    said("policy", "show", "redis", "--out", file)
    assert file.read_text() == p.presets.redis().to_json()
    assert said("policy", "show", file) == said("policy", "show", "redis")
    assert "is there already" in refused("policy", "show", "--out", file)
    assert file.read_text() == p.presets.redis().to_json()
    said("policy", "show", "--out", file, "--force")
    assert file.read_text() == p.default().to_json()
    assert list(tmp_path.iterdir()) == [file]


def test_from_reviews_to_a_recall_by_what_they_say(reviews: Path, store: Path, tmp_path: Path) -> None:
    """The researcher's path, with real processes: fit, save, recall by it."""
    file = tmp_path / "policy.json"
    arguments = ("policy", "fit", "--data", reviews, "--curve", "power", "--resamples", "5", "--seed", "3")
    found = answer(*arguments, "--out", file, "--json", cwd=tmp_path)
    direct = fit_reviews(read_reviews(reviews), "power", rng=np.random.default_rng(3), n_resamples=5)
    assert {key: found[key] for key in direct.to_dict()} == direct.to_dict()
    policy = p.from_json(file.read_text())
    assert policy == p.with_curve(p.default(), direct.curve) == p.from_dict(found["policy"]["document"])
    done = run("recall", "clock", "--policy", file, "--json", "--path", store, cwd=tmp_path)
    hits = json.loads(done.stdout)
    assert hits["policy"] == str(policy)
    assert len(hits["hits"]) == 4


def test_what_was_fitted_is_printed_and_goes_into_the_policy_that_is_named(reviews: Path, tmp_path: Path) -> None:
    base, file = tmp_path / "base.json", tmp_path / "fitted.json"
    base.write_text((p.lexical() + p.decay(soma.decay.Exponential(DAY))).to_json())
    arguments = ("policy", "fit", "--data", reviews, "--curve", "exponential", "--resamples", 4, "--into", base)
    text = said(*arguments, "--out", file)
    assert re.search(r"half_life_s +[\d.e+]+  \(95%: [\d.e+]+ to [\d.e+]+\)", text)
    assert "log loss" in text
    assert str(file) in text
    policy = p.from_json(file.read_text())
    (change,) = p.differences(p.from_json(base.read_text()), policy)
    assert change.where == "decay of age_s: half_life_s"
    assert "is there already" in refused(*arguments, "--out", file)
    assert "Written" not in said(*arguments)


def test_a_difference_is_told_part_by_part(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(p.with_curve(p.default(), soma.decay.Power(scale_s=DAY, exponent=0.5)).to_json())
    assert "decay of idle_s: scale_s: 2592000 -> 86400" in said("policy", "diff", "default", file)
    assert "they are equal" in said("policy", "diff", "default", "default")
    told = json.loads(said("policy", "diff", "default", file, "--json"))
    assert told["differences"] == [{"where": "decay of idle_s: scale_s", "before": "2592000", "after": "86400"}]
    assert told["queries"] == []


def test_what_enters_leaves_and_moves_is_what_recall_says(store: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(p.importance().to_json())
    new.write_text((-p.age_s()).to_json())
    asked = tmp_path / "asked.txt"
    asked.write_text("slow clock\n\nclock\n")
    where = ("--path", store, "--now", "2026-04-01")
    told = json.loads(said("policy", "diff", old, new, "-q", "clock", "--queries", asked, "-k", 2, *where, "--json"))
    assert [each["query"] for each in told["queries"]] == ["clock", "slow clock", "clock"]
    for each in told["queries"]:
        for side, file in (("before", old), ("after", new)):
            hits = json.loads(said("recall", each["query"], "--policy", file, "-k", 2, *where, "--json"))["hits"]
            ranked = {move[side]: move["id"] for move in each["moves"] if move[side] is not None}
            assert [ranked[rank] for rank in range(2)] == [hit["id"] for hit in hits]
        assert [move["verb"] for move in each["moves"]] == ["enters", "enters", "leaves", "leaves"]
        assert each["rank_biased_overlap"] == 0.0
    text = said("policy", "diff", old, new, "-q", "clock", "-k", 3, *where)
    assert "'clock': 2 of 3 are in both" in text
    assert re.search(r"^ +- +0  enters  the clock was 0 days slow$", text, re.MULTILINE)
    assert re.search(r"^ +0 +-  leaves  the clock was 3 days slow$", text, re.MULTILINE)
    past = json.loads(said("policy", "diff", old, new, "-q", "clock", "--as-of", "@3", "--path", store, "--json"))
    assert past["queries"][0]["n_candidates"] == 2  # one entry of the three registers the namespace


def bad_calls(folder: Path, reviews: Path) -> dict[str, tuple[tuple[Any, ...], str]]:
    (folder / "text.json").write_text("similarity()")
    (folder / "empty.txt").write_text("\n \n")
    (folder / "few.csv").write_text("card_id,review_rating,review_time\n1,3,0\n1,3,90000\n")
    fit = ("policy", "fit", "--data", reviews, "--resamples", "4")
    return {
        "no such policy": (("policy", "show", "mine"), "no policy mine: name a file, or one of default,"),
        "no JSON": (("policy", "show", folder / "text.json"), "text.json is no policy"),
        "a folder": (("policy", "show", folder), "cannot be read"),
        "nowhere to write": (("policy", "show", "--out", folder / "x" / "y.json"), "there is no folder"),
        "a folder to write": (("policy", "show", "--out", folder, "--force"), "is a folder"),
        "two curves": ((*fit, "--into", "redis"), "must hold one forgetting curve and holds 2"),
        "no reviews": (("policy", "fit", "--data", folder / "no.csv"), "cannot be read"),
        "few reviews": (("policy", "fit", "--data", folder / "few.csv"), "at least 20 reviews"),
        "one resample": (("policy", "fit", "--data", reviews, "--resamples", "1"), "n_resamples must be an integer"),
        "no question": (("policy", "diff", "redis", "act_r", "--queries", folder / "empty.txt"), "holds no question"),
        "no store": (("policy", "diff", "redis", "act_r", "-q", "x", "-p", folder / "none"), "there is no soma store"),
    }


def test_bad_input_gets_one_sentence(reviews: Path, tmp_path: Path) -> None:
    for name, (arguments, sentence) in bad_calls(tmp_path, reviews).items():
        assert sentence in refused(*arguments), name
