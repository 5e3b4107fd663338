"""Whether two versions of a schema understand each other: what the old one lets in and the new one would refuse.

The comparison is conservative: what it cannot prove is a defect. It knows the keywords that our schemas use, and a few
more. Of fields it takes one thing for granted: a writer writes no field of its own beside those that its schema names,
since a name that a schema does not know belongs to a newer version of it. So an optional field may be added.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

__all__ = ["avro_backward", "backward", "forward"]

Schema: TypeAlias = "Mapping[str, Any] | bool"

ANNOTATIONS: Final = frozenset(
    {"$comment", "$id", "$schema", "default", "deprecated", "description", "examples", "title"}
)
OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "array": frozenset({"minItems", "maxItems", "uniqueItems", "items"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""The keywords that say something of each type; they let every other type in."""

EVERY: Final = tuple(kind for kind in OF_TYPE if kind != "integer")  # which are numbers
KNOWN: Final = ANNOTATIONS | {"type", "enum", "const", "anyOf"} | frozenset().union(*OF_TYPE.values())
LOWER: Final = ("minimum", "exclusiveMinimum")
UPPER: Final = ("maximum", "exclusiveMaximum")
TYPE_NAMES: Final = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
COUNTS: Final = {"minLength": 1, "minItems": 1, "maxLength": -1, "maxItems": -1}

PROMOTIONS: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
"""What a reader of Avro may expect where another primitive was written."""


def backward(old: Schema, new: Schema) -> list[str]:
    """Return what a reader with ``new`` would refuse of the data that are valid under ``old``.

    Parameters
    ----------
    old : mapping or bool
        The writer's JSON Schema.
    new : mapping or bool
        The reader's.

    Returns
    -------
    list of str
        A sentence for each defect, with the place; empty if there is none.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_compatibility.py``.

    Examples
    --------
    >>> backward({"type": "integer"}, {"type": "number"})
    []
    >>> backward({"type": "number"}, {"type": "integer"})
    ['the value may be a number, where the reader expects integer']
    """
    return list(_refused(old, new, "the value"))


def forward(old: Schema, new: Schema) -> list[str]:
    """Return what a reader with ``old`` would refuse of the data that are valid under ``new``.

    Parameters
    ----------
    old : mapping or bool
        The reader's JSON Schema.
    new : mapping or bool
        The writer's.

    Returns
    -------
    list of str
        A sentence for each defect, with the place; empty if there is none.

    Examples
    --------
    >>> forward({"required": ["at"]}, {"required": ["at", "to"]})
    []
    """
    return backward(new, old)


def avro_backward(writer: Any, reader: Any) -> list[str]:
    """Return why data written with one Avro schema cannot be read with another, by Avro's rules of resolution.

    Parameters
    ----------
    writer : dict, list or str
        The schema of the data.
    reader : dict, list or str
        The schema of who reads them.

    Returns
    -------
    list of str
        A sentence for each defect, with the place; empty if there is none.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_compatibility.py``.

    Examples
    --------
    >>> avro_backward("int", "double")
    []
    >>> avro_backward("double", "int")
    ['the value is written as double, which cannot be read as int']
    """
    try:
        written, read = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    except (SchemaParseException, UnknownType) as error:
        return [f"a schema is not Avro: {error!r:.120}"]
    return list(_unresolved(written, read, "the value", (_named(written), _named(read)), frozenset()))


def _refused(old: Schema, new: Schema, where: str) -> Iterator[str]:
    accepted = list(_alternatives(new))
    unmatched: set[str] = set()
    for one in _alternatives(old):
        candidates = [list(_narrower(one, other, where)) for other in accepted if _is_of(one["type"], other["type"])]
        if candidates:
            yield from min(candidates, key=len)
        else:
            unmatched.add(one["type"])
    if unmatched:
        expected = " or ".join(dict.fromkeys(other["type"] for other in accepted)) or "nothing"
        yield f"{where} may be a {' or '.join(sorted(unmatched))}, where the reader expects {expected}"


def _alternatives(schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield schemas of one type each, that together let in what ``schema`` lets in."""
    described: Mapping[str, Any] = ({} if schema else {"anyOf": []}) if isinstance(schema, bool) else schema
    said = {name: value for name, value in described.items() if name not in ANNOTATIONS}
    if "anyOf" in said:
        more = {} if len(said) == 1 else {"keywords beside anyOf": True}  # which are not compared
        for choice in said["anyOf"]:
            yield from ({**one, **more} for one in _alternatives(choice))
        return
    if "const" in said:
        said["enum"] = [value for value in said.get("enum", [said["const"]]) if _text(value) == _text(said["const"])]
    possible = sorted({_type_of(value) for value in said["enum"]}) if "enum" in said else EVERY
    types = said.get("type", possible)
    for kind in [types] if isinstance(types, str) else types:
        others = frozenset().union(*OF_TYPE.values()) - OF_TYPE.get(kind, frozenset())
        one = {name: value for name, value in said.items() if name not in others} | {"type": kind}
        if "enum" in one:
            one["enum"] = [value for value in one["enum"] if _is_of(_type_of(value), kind)]
        if one.get("enum") != []:
            yield one


def _narrower(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield why a value of ``old`` may be none of ``new``; both have one type, and the types agree."""
    strange = sorted((old.keys() | new.keys()) - KNOWN)
    if strange:
        yield f"{where} is described by {', '.join(strange)}, which cannot be compared"
    if "enum" in new:
        known = {_text(value) for value in new["enum"]}
        unknown = [_text(value) for value in old["enum"] if _text(value) not in known] if "enum" in old else ["others"]
        if unknown:
            yield f"{where} may be {', '.join(unknown)}, where the reader knows only {', '.join(sorted(known))}"
    for bounds, sign, direction in ((LOWER, 1, "below"), (UPPER, -1, "above")):
        allowed, needed = _bound(old, bounds, sign), _bound(new, bounds, sign)
        if needed > allowed:
            yield f"{where} may lie {direction} what the reader accepts, {sign * needed[0]}"
    for name, sign in COUNTS.items():
        free = 0 if sign > 0 else math.inf
        if sign * new.get(name, free) > sign * old.get(name, free):
            yield f"{where} may break the reader's {name} {new[name]}"
    for name in ("format", "pattern", "uniqueItems"):
        if new.get(name, False) not in (False, old.get(name)):
            yield f"{where} may break the reader's {name} {new[name]}"
    if "items" in new and old.get("maxItems") != 0:
        yield from _refused(old.get("items", True), new["items"], f"an item of {where}")
    yield from _narrower_object(old, new, where)


def _narrower_object(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{where} may lack the field {name}, which the reader requires"
    written, read = old.get("properties", {}), new.get("properties", {})
    others, accepted = old.get("additionalProperties", True), new.get("additionalProperties", True)
    for name in sorted(written.keys() | read.keys()):
        # a name that the writer's schema lets in without knowing it is left to the reader's version
        value = written.get(name, False if others is True or others == {} else others)
        yield from _refused(value, read.get(name, accepted), f"the field {name} of {where}")
    if accepted is False and others is not False:
        yield f"{where} may have further fields, which the reader refuses"
    elif accepted is not True:
        yield from _refused(others, accepted, f"a further field of {where}")


def _bound(schema: Mapping[str, Any], names: tuple[str, str], sign: int) -> tuple[float, bool]:
    """Return the lower bound, or with sign -1 the negated upper one, and whether it is excluded."""
    inclusive, exclusive = names
    return max(
        (sign * schema[inclusive] if inclusive in schema else -math.inf, False),
        (sign * schema[exclusive] if exclusive in schema else -math.inf, exclusive in schema),
    )


def _is_of(kind: str, accepted: str) -> bool:
    return kind == accepted or (kind, accepted) == ("integer", "number")


def _type_of(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return TYPE_NAMES.get(type(value), "object")


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _unresolved(
    writer: Any, reader: Any, where: str, names: tuple[Mapping[str, Any], Mapping[str, Any]], seen: frozenset[Any]
) -> Iterator[str]:
    if isinstance(writer, list):
        for branch in writer:
            yield from _unresolved(branch, reader, where, names, seen)
        return
    writer = _defined(writer, names[0])
    branches = [_defined(branch, names[1]) for branch in (reader if isinstance(reader, list) else [reader])]
    mismatches = [_mismatch(writer, branch, where) for branch in branches]
    if "" not in mismatches:
        yield " and ".join(mismatches)
        return
    reader = branches[mismatches.index("")]  # the first branch that matches is taken, whatever comes of it
    kind = _avro_type(writer)
    if kind == "enum":
        unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if unknown and reader.get("default") not in reader["symbols"]:
            yield f"{where} may be {', '.join(unknown)}, which the reader does not know and has no default for"
    elif kind == "array":
        yield from _unresolved(writer["items"], reader["items"], f"an item of {where}", names, seen)
    elif kind == "map":
        yield from _unresolved(writer["values"], reader["values"], f"an entry of {where}", names, seen)
    elif kind == "record" and (pair := (writer["name"], reader["name"])) not in seen:
        written = {field["name"]: field["type"] for field in writer["fields"]}
        for field in reader["fields"]:
            sources = [name for name in (field["name"], *field.get("aliases", ())) if name in written]
            for source in sources[:1]:
                place = f"the field {field['name']} of {where}"
                yield from _unresolved(written[source], field["type"], place, names, seen | {pair})
            if not sources and "default" not in field:
                yield f"{where} lacks the field {field['name']}, which the reader needs and has no default for"


def _mismatch(writer: Any, reader: Any, where: str) -> str:
    """Return why the schemas do not match, as far as their names tell; empty if they do."""
    kind, expected = _avro_type(writer), _avro_type(reader)
    if kind != expected and expected not in PROMOTIONS.get(kind, ()):
        return f"{where} is written as {_avro_name(writer)}, which cannot be read as {_avro_name(reader)}"
    if kind in ("enum", "fixed", "record"):
        aliases = {alias.rpartition(".")[2] for alias in reader.get("aliases", ())}
        name = writer["name"].rpartition(".")[2]
        if name != reader["name"].rpartition(".")[2] and name not in aliases:
            return f"{where} is written as {name}, which the reader does not know by this name"
    for aspect in ("logicalType", "precision", "scale", "size"):
        meant, read = (side.get(aspect) if isinstance(side, dict) else None for side in (writer, reader))
        if meant != read:
            return f"{where} is written with the {aspect} {meant}, and read with {read}"
    return ""


def _defined(schema: Any, names: Mapping[str, Any]) -> Any:
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _avro_type(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _avro_name(schema: Any) -> str:
    return str(schema.get("name", schema["type"]) if isinstance(schema, dict) else schema)


def _named(schema: Any) -> dict[str, Any]:
    """Return the types that a parsed schema defines, by their full names."""
    if isinstance(schema, list):
        return {name: found for branch in schema for name, found in _named(branch).items()}
    if not isinstance(schema, dict):
        return {}
    inner = [field["type"] for field in schema.get("fields", ())] + [schema.get("items"), schema.get("values")]
    return ({schema["name"]: schema} if "name" in schema else {}) | _named(inner)
