"""JSON Schemas of strangers: useful, local, linear."""

from typing import Any

import pytest

from agentflow.engine.errors import BadSchema
from agentflow.engine.schemas import MAX_DEPTH, MAX_REFERENCES, compile_schema


def test_problems_name_the_place_and_the_fault() -> None:
    schema = compile_schema(
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]}
    )
    assert schema.problems({"a": 1, "b": 2}) == ()
    problems = schema.problems({"a": "x"})
    assert any(problem.startswith("/a: ") for problem in problems)
    assert any("'b'" in problem or '"b"' in problem for problem in problems)


def test_no_more_problems_are_told_than_asked_for() -> None:
    schema = compile_schema({"items": {"type": "integer"}})
    assert len(schema.problems(["x"] * 100, most=3)) == 3


def test_a_long_value_is_not_repeated_whole() -> None:
    assert all(len(p) < 300 for p in compile_schema({"enum": [1]}).problems("z" * 10_000))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objec"},
        {"pattern": "(?=a)"},
        {"$schema": "https://example.org/my-own"},
        [],
        "string",
        {"$ref": "#/$defs/missing"},
        {"multipleOf": 0},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        compile_schema(schema)


@pytest.mark.parametrize(
    "reference", ["http://example.org/s", "file:///etc/passwd", "other.json", "#name"]
)
def test_references_out_of_the_schema_are_refused(reference: str) -> None:
    with pytest.raises(BadSchema, match="leaves the schema") as caught:
        compile_schema({"properties": {"a": {"$ref": reference}}})
    assert "$defs" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "schema", [{"items": {"$id": "http://x/"}}, {"$dynamicRef": "#a"}, {"$recursiveRef": "#"}]
)
def test_forms_of_reference_that_are_not_checked_are_refused(schema: Any) -> None:
    with pytest.raises(BadSchema, match="not supported"):
        compile_schema(schema)


def test_a_pattern_made_to_explode_is_linear() -> None:
    assert compile_schema({"pattern": "^(a+)+$"}).problems("a" * 30_000 + "b")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            {
                "$defs": {
                    "t": {
                        "properties": {
                            "l": {"$ref": "#/$defs/t"},
                            "r": {"$ref": "#/$defs/t"},
                            "v": {"type": "integer"},
                        }
                    }
                },
                "$ref": "#/$defs/t",
            },
            {"l": {"v": 1}, "r": {"r": {"v": 2}}},
            {"l": {"l": {"v": "x"}}},
        ),
        (
            {
                "oneOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"$ref": "#"}},
                    {"type": "object", "additionalProperties": {"$ref": "#"}},
                ]
            },
            ["a", {"b": ["c"]}],
            ["a", {"b": [1]}],
        ),
        (
            {
                "anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}],
                "$defs": {"a": {"type": "string"}},
            },
            "x",
            1,
        ),
        (
            {"prefixItems": [{"$ref": "#"}, {"$ref": "#"}], "type": ["array", "integer"]},
            [1, [2, 3]],
            [1, "x"],
        ),
        (
            {"patternProperties": {"^n": {"$ref": "#"}}, "type": ["object", "null"]},
            {"n": {"n": None}},
            {"n": 1},
        ),
        (
            {"definitions": {"a": {"enum": [{"$ref": "x"}]}}, "items": {"$ref": "#/definitions/a"}},
            [{"$ref": "x"}],
            [1],
        ),
    ],
)
def test_recursive_schemas_are_useful(schema: Any, good: Any, bad: Any) -> None:
    compiled = compile_schema(schema)
    assert compiled.problems(good) == ()
    assert compiled.problems(bad)


def fan(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]},
        {"items": {"$ref": "#"}, "contains": {"$ref": "#"}},
        {"patternProperties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}},
        {"allOf": [{"properties": {"a": {"$ref": "#"}}}], "properties": {"a": {"$ref": "#"}}},
        fan(30),
    ],
)
def test_references_that_multiply_the_work_are_refused(schema: Any) -> None:
    with pytest.raises(BadSchema, match="over and over"):
        compile_schema(schema)


def test_a_little_multiplying_is_fine() -> None:
    assert compile_schema(fan(5)).problems("x") == ()


def test_schemas_too_deep_or_too_large_are_refused() -> None:
    deep: Any = {}
    for _ in range(MAX_DEPTH + 10):
        deep = {"not": deep}
    with pytest.raises(BadSchema, match="deeper"):
        compile_schema(deep)
    with pytest.raises(BadSchema, match="parts"):
        compile_schema({"enum": [], "required": ["x"] * 30_000})
    many = {f"p{n}": {"$ref": "#/$defs/a"} for n in range(MAX_REFERENCES + 1)}
    with pytest.raises(BadSchema, match="references"):
        compile_schema({"properties": many, "$defs": {"a": True}})


def test_a_schema_nested_without_end_is_refused_and_does_not_crash() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"items": deep}
    with pytest.raises(BadSchema, match="deeper"):
        compile_schema(deep)
