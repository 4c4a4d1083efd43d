"""The hash of a definition: of its meaning, not of its text."""

from typing import Any

from agentflow.contracts.spec import WorkflowSpec
from agentflow.engine.definition import definition_hash


def spec(**more: Any) -> WorkflowSpec:
    document = {"start_node": "a", "nodes": [{"id": "a", "type": "input"}], **more}
    return WorkflowSpec.model_validate(document)


def test_the_same_meaning_has_the_same_hash() -> None:
    one = spec(metadata={"a": 1, "b": 2})
    other = spec(metadata={"b": 2, "a": 1}, name="workflow", edges=[], description="")
    assert definition_hash(one) == definition_hash(other)
    assert len(definition_hash(one)) == 64


def test_another_meaning_has_another_hash() -> None:
    assert definition_hash(spec()) != definition_hash(spec(name="other"))
    assert definition_hash(spec(metadata={"a": 1})) != definition_hash(spec(metadata={"a": "1"}))


def test_the_hash_of_a_definition_never_changes_between_releases() -> None:
    assert definition_hash(spec()) == (
        "d9ec21e849df762d6a44c9dfd7777783ae314328670e945fb1f63138bfd4e893"
    )


def test_an_edge_is_hashed_by_its_json_names() -> None:
    by_alias = spec(edges=[{"from": "a", "to": "END"}])
    by_name = spec(edges=[{"source": "a", "to": "END"}])
    assert definition_hash(by_alias) == definition_hash(by_name)


def test_texts_no_encoder_likes_are_hashed() -> None:
    assert definition_hash(spec(metadata={"a": "\ud800"}))
