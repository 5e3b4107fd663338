"""Laws of the importance that is read off a text: points, each for a mark that the text has."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma.cli import main
from soma.state.salience import MARKS, salience


@given(st.text(max_size=80))
def test_importance_is_the_sum_of_the_points_within_1_and_10(text: str) -> None:
    found = salience(text)
    assert set(found.points) <= set(MARKS)
    assert all(points == MARKS[mark] for mark, points in found.points.items())
    assert found.importance == min(max(sum(found.points.values()), 1), 10)
    assert 1 <= found.importance <= 10


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("ok", set()),
        ("", set()),
        ("It broke 3 times", {"a number"}),
        ("It cost $1,200.50", {"a number"}),
        ("version2 of x86", set()),
        ("The clock of Ada", {"a name"}),
        ("The clock. Then I slept", set()),
        ("It broke last May", {"a name", "a time"}),
        ("it broke yesterday", {"a time"}),
        ("I will mend it", {"a promise or a decision"}),
        ("we've seen that we decided nothing", {"a promise or a decision"}),
        ("Don't forget the bread", {"a promise or a decision"}),
        ("iwill mend it", set()),
        ("Who mends it?", {"asks"}),
        ("red green blue black white brown pink grey", {"8 different words or more"}),
        ("red green blue black white brown red grey", set()),
    ],
)
def test_a_text_has_the_marks_that_it_has(text: str, marks: set[str]) -> None:
    assert set(salience(text).points) == {"to begin with", *marks}


def test_a_memory_is_as_important_as_its_words_look(tmp_path: Path) -> None:
    with soma.open(tmp_path / "store") as memory:
        assert memory.remember("I will send Ada 3 reports tomorrow", importance="auto").importance == 7
        assert memory.remember(payload={"note": "Who knows?"}, importance="auto").importance == 1
        assert memory.remember("I will send Ada 3 reports tomorrow").importance == 5
        with pytest.raises(soma.InvalidParameterError, match=r"^importance must"):
            memory.remember("clock", importance="high")  # type: ignore[arg-type]
        assert len(memory) == 3


def test_the_command_line_reads_it_off_too(tmp_path: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["remember", "I will mend it", "--path", str(tmp_path), "--json", *arguments])
        return done.exit_code, done.output

    assert '"importance": 4' in said("-i", "auto")[1]
    assert '"importance": 5' in said()[1]
    assert said("-i", "high")[0] == 2
