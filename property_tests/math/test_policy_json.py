"""Laws of policies as documents: the round trip is the identity, and what is unknown is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soma.errors import SerializationError
from soma.math import decay
from soma.math import policy as p
from soma.testing.policies import policies


@given(policies())
def test_json_gives_back_an_equal_policy_with_an_equal_hash(policy: p.Policy) -> None:
    text = policy.to_json()
    for again in (p.from_json(text), p.from_json(text.encode()), p.from_dict(policy.to_dict())):
        assert again == policy
        assert again.content_hash == policy.content_hash
        assert again.to_json() == text
    # what another program made of the document, with its own spacing and order, is the same policy
    assert p.from_json(json.dumps(json.loads(text), indent=1)) == policy


@given(policies(), policies())
def test_hashes_are_equal_where_policies_are(one: p.Policy, other: p.Policy) -> None:
    assert (one.content_hash == other.content_hash) == (one == other)


def test_zero_has_one_sign_and_integers_are_numbers() -> None:
    assert str(p.constant(-0.0)) == "constant(0)"
    assert p.constant(-0.0).content_hash == p.constant(0).content_hash
    assert p.similarity() * 2 == p.similarity() * 2.0 == p.similarity() * np.float32(2)


def test_the_hash_is_the_digest_of_bytes_that_anyone_can_write() -> None:
    policy = p.similarity().clip(0) * p.importance() ** 0.5
    canonical = (
        '{"expression":{"left":{"lower":0,"node":"clip","of":{"node":"similarity"},"upper":null},"node":"*",'
        '"right":{"left":{"node":"importance"},"node":"**","right":{"node":"constant","value":0.5}}},"soma_policy":1}'
    )
    assert policy.content_hash == hashlib.sha256(canonical.encode()).hexdigest()
    assert policy.content_hash == "508a38d38b0451e2ac4a88fdd05371b2dec84f8a3f1b1c67528129ab829b9f73"
    assert p.from_json(canonical) == policy


def test_the_hash_of_the_default_is_that_of_every_released_version() -> None:
    assert p.default().content_hash == "63517264fe442f700a1ab3ba2c2ffbaafbcf8ad8410f72a191bdbf521f81e913"


def malformed() -> Iterator[tuple[str, Any]]:
    good = (p.similarity().clip(0, 1) * 0.5 + p.same_cell(2) * p.decay(decay.Exponential(60.0))).to_dict()
    del good["sha256"]

    def with_expression(expression: Any) -> dict[str, Any]:
        return {"soma_policy": 1, "expression": expression}

    term = {"node": "similarity"}
    yield "the policy must be an object", [good]
    yield "the policy must be an object", None
    yield 'must have the field "soma_policy"', {"expression": term}
    yield "version 2", {**good, "soma_policy": 2}
    yield "version '1'", {**good, "soma_policy": "1"}
    yield "version True", {**good, "soma_policy": True}
    yield "version 1.0", {**good, "soma_policy": 1.0}
    yield 'lacks the field "expression"', {"soma_policy": 1}
    yield "unknown field 'note'", {**good, "note": ""}
    yield "sha256", {**good, "sha256": "0" * 64}
    yield "sha256", {**good, "sha256": None}
    yield "expression must be an object", with_expression("similarity()")
    yield "node 'sigmoid'; known are", with_expression({"node": "sigmoid", "of": term})
    yield "node None", with_expression({})
    yield "node \\[", with_expression({"node": ["similarity"]})
    yield "unknown field 'weight'", with_expression({"node": "similarity", "weight": 1})
    yield (
        "expression.left lacks the field",
        with_expression({"node": "+", "left": {"node": "constant"}, "right": term}),
    )
    yield "expression.right must be an object", with_expression({"node": "+", "left": term, "right": 1})
    for value in ("1", None, True, [1], {"n": 1}):
        yield "expression: constant", with_expression({"node": "constant", "value": value})
    for value in (math.nan, math.inf):
        yield "finite", with_expression({"node": "constant", "value": value})
    yield "must be <= upper", with_expression({"node": "clip", "of": term, "lower": 2, "upper": 1})
    yield "lower or an upper", with_expression({"node": "clip", "of": term, "lower": None, "upper": None})
    yield "level", with_expression({"node": "same_cell", "level": 1.5})
    yield "is_type|memory_type", with_expression({"node": "memory_type", "is_type": "dream"})
    yield (
        "of must be age_s or idle_s",
        with_expression({"node": "decay", "curve": decay.Constant().to_dict(), "of": term}),
    )
    age = {"node": "age_s"}
    for curve in (None, {}, "constant", {"family": "sundial"}, {**decay.Constant().to_dict(), "x": 1}, []):
        yield "expression: ", with_expression({"node": "decay", "curve": curve, "of": age})
    half_life = {**decay.Exponential(60.0).to_dict(), "half_life_s": -1}
    yield "half_life_s", with_expression({"node": "decay", "curve": half_life, "of": age})
    deep: Any = term
    for _ in range(p.MAX_DEPTH):
        deep = {"node": "negative", "of": deep}
    yield "deeper than 64", with_expression(deep)
    shared: Any = term
    for _ in range(12):
        shared = {"node": "+", "left": shared, "right": shared}
    yield "at most 1000 nodes", with_expression(shared)


@pytest.mark.parametrize(("message", "document"), list(malformed()))
def test_a_malformed_document_is_refused_with_the_place(message: str, document: Any) -> None:
    with pytest.raises(SerializationError, match=message):
        p.from_dict(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "similarity()",
        '{"soma_policy": 1, "expression": {"node": "constant", "value": NaN}}',
        '{"soma_policy": 1, "expression": {"node": "constant", "value": 1e999}}',
        '{"soma_policy": 1, "soma_policy": 1, "expression": {"node": "similarity"}}',
        "[" * 100_000,
        '{"soma_policy": 1, "expression": ' + '{"node": "negative", "of": ' * 5_000 + "}" * 5_001,
        " " * 2_000_000,
    ],
)
def test_text_that_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(SerializationError):
        p.from_json(text)


def places(document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))


@given(policies(max_leaves=4), st.data())
def test_any_field_removed_added_or_changed_is_refused(policy: p.Policy, data: st.DataObject) -> None:
    document = copy.deepcopy(policy.to_dict())
    *above, key = data.draw(st.sampled_from([path for path in places(document) if path and path != ("sha256",)]))
    inner: Any = document
    for step in above:
        inner = inner[step]
    change = data.draw(st.sampled_from(["remove", "add", "change"]))
    if change == "remove":
        del inner[key]
    elif change == "add":
        inner["soma"] = inner[key]
    else:
        new = data.draw(st.sampled_from([0, 7, -1.5, "semantic", "age_s", None, [], {}, {"node": "age_s"}, math.nan]))
        assume(type(new) is not type(inner[key]) or new != inner[key])
        assume(not (isinstance(new, int | float) and isinstance(inner[key], int | float) and new == inner[key]))
        inner[key] = new
    with pytest.raises(SerializationError):
        p.from_dict(document)
