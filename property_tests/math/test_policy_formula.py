"""Laws of printed policies: the text is Python that builds an equal policy, and the LaTeX is balanced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from soma.math import decay
from soma.math import policy as p
from soma.testing.policies import policies


def built_from(text: str) -> Any:
    """Evaluate a printed policy: the builders of policies, and the families of curves."""
    names = {name: getattr(p, name) for name in p.__all__ if name.islower()}
    names |= {kind.__name__: kind for kind in decay.FAMILIES.values()}
    return eval(text, {"__builtins__": {}}, names)


@given(policies())
def test_a_printed_policy_builds_an_equal_one(policy: p.Policy) -> None:
    again = built_from(str(policy))
    assert again == policy
    assert repr(policy) == str(policy) != ""


@pytest.mark.parametrize(
    "text",
    [
        "constant(2)",
        "constant(-2) + 3",
        "-2 * similarity()",
        "(-2) ** similarity()",
        "-similarity() ** 2",
        "(-similarity()) ** 2",
        "(similarity() ** 2) ** 3",
        "similarity() ** similarity() ** 2",
        "similarity() - (importance() - 1)",
        "similarity() - importance() - 1",
        "similarity() / (importance() / 2)",
        "similarity() * (importance() * 2)",
        "(similarity() + 1) * 2",
        "--similarity()",
        "(-similarity()).clip(0)",
        "constant(1).clip(0, 0.5)",
        "similarity().clip(upper=1)",
        "similarity() ** -2",
        "-constant(1)",
        "exp(1)",
        "1 + exp(2)",
    ],
)
def test_parentheses_stand_where_they_are_needed_and_nowhere_else(text: str) -> None:
    assert str(built_from(text)) == text


@given(policies())
def test_latex_is_balanced(policy: p.Policy) -> None:
    latex = policy.latex()
    depth = 0
    for character in latex:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert latex.count(r"\left(") == latex.count(r"\right)")
    assert policy._repr_latex_() == rf"$\displaystyle {latex}$"


def test_a_field_is_named_in_its_own_letters() -> None:
    assert str(p.top_mean(p.trace(), group="größe", n=2)) == 'top_mean(trace(), group="größe", n=2)'


def test_latex_reads_as_written() -> None:
    policy = (1 - (p.similarity() - p.importance())) / p.age_s() * p.exp(-p.lexical()) ** 2
    assert policy.latex() == (
        r"\frac{1 - \left(\mathrm{similarity} - \mathrm{importance}\right)}{\mathrm{age}} \cdot "
        r"{\exp\left(-\mathrm{lexical}\right)}^{2}"
    )
    assert p.similarity().max(p.lexical()).latex() == r"\max\left(\mathrm{similarity}, \mathrm{lexical}\right)"
    assert (1e-7 * p.trace()).latex() == r"1 \cdot 10^{-7} \cdot \mathrm{trace}"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("constant(-2) ** 2", r"{\left(-2\right)}^{2}"),
        ("similarity() ** -2", r"{\mathrm{similarity}}^{-2}"),
        ("-2 * similarity()", r"-2 \cdot \mathrm{similarity}"),
        ("similarity() * -2", r"\mathrm{similarity} \cdot \left(-2\right)"),
        ("similarity() - -2", r"\mathrm{similarity} - \left(-2\right)"),
        ("similarity() / -2", r"\frac{\mathrm{similarity}}{-2}"),
        ("-constant(-2)", r"-\left(-2\right)"),
        ("constant(2e30) ** 2", r"{\left(2 \cdot 10^{30}\right)}^{2}"),
        ("constant(-2e30) ** 2", r"{\left(-2 \cdot 10^{30}\right)}^{2}"),
        ("similarity() * -2e30", r"\mathrm{similarity} \cdot \left(-2 \cdot 10^{30}\right)"),
        ("similarity() - 2e30", r"\mathrm{similarity} - 2 \cdot 10^{30}"),
    ],
)
def test_a_negative_number_is_bracketed_in_latex_where_its_sign_would_be_misread(text: str, latex: str) -> None:
    assert built_from(text).latex() == latex


def test_an_explanation_is_a_table_with_aligned_columns() -> None:
    policy = p.similarity().clip(0) * (0.5 + 0.5 * p.importance()) * 2
    explanation = policy.explain({"similarity": [0.75], "importance": [0.5]}, 0)
    assert repr(explanation).splitlines() == [
        "1.125  similarity().clip(0) * (0.5 + 0.5 * importance()) * 2",
        " 0.75  ├─ similarity().clip(0)",
        " 0.75  │  └─ similarity()",
        " 0.75  ├─ 0.5 + 0.5 * importance()",
        "  0.5  │  ├─ 0.5",
        " 0.25  │  └─ 0.5 * importance()",
        "  0.5  │     ├─ 0.5",
        "  0.5  │     └─ importance()",
        "    2  └─ 2",
    ]
    document = explanation.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["operation"] == "*"
    assert [child["label"] for child in document["children"]] == [
        "similarity().clip(0)",
        "0.5 + 0.5 * importance()",
        "2",
    ]
