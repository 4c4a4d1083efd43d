"""The licence report is right about every package installed here.

What is expected is computed in this file, from importlib.metadata alone: each licence text is
cut into words and the words are looked up, no pattern and no database is shared with the example.
"""

import json
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agentflow.node_workers.runner import NodeRunner
from tests.support import examples
from tests.support.schedulers import run_on_walk

COPYLEFT = {"gpl", "lgpl", "agpl", "mpl", "mozilla", "epl", "eupl"}
PERMISSIVE = {
    *("mit", "bsd", "0bsd", "apache", "isc", "iscl", "psf", "zlib", "unlicense", "cc0", "hpnd"),
    "boost",
}


def words(text: str) -> set[str]:
    """`LGPL-3.0-only` → lgpl, 3, 0, only; `GPLv3` → gplv3 and gpl."""
    plain = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    return {*plain, *(word.rstrip("0123456789").removesuffix("v") for word in plain)}


def licence_words(package: Distribution) -> set[str]:
    headers = package.metadata.get_all
    texts = headers("License-Expression") or []
    if not texts:
        texts = [c for c in headers("Classifier") or [] if c.startswith("License ::")]
        texts = [t for t in texts if t != "License :: OSI Approved"]
    if not texts:
        texts = [(headers("License") or [""])[0].strip().split("\n", 1)[0]]
    return words(" ".join(texts).replace("Python Software Foundation", "PSF"))


def verdict(package: Distribution) -> str:
    said = licence_words(package)
    if said & COPYLEFT:
        return "copyleft"
    return "permissive" if said & PERMISSIVE else "unknown"


def by_name() -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for package in distributions():
        found.setdefault(canonicalize_name(package.metadata["Name"]), package)
    return found


def users_by_need(packages: dict[str, Distribution]) -> dict[str, list[str]]:
    """Who always needs a package, by the package that is needed."""
    found: dict[str, set[str]] = {}
    for user, package in packages.items():
        for requirement in map(Requirement, package.requires or []):
            if "extra" not in str(requirement.marker or ""):
                found.setdefault(canonicalize_name(requirement.name), set()).add(user)
    return {need: sorted(users) for need, users in found.items()}


async def test_every_installed_package_is_judged_as_its_metadata_says(
    runner: NodeRunner, example_data: Path
) -> None:
    packages = by_name()
    inputs = examples.inputs(examples.jobs()["licences"], example_data)
    assert {i["initial_state"]["user_input"] for i in inputs} == set(packages)
    judged = {}
    for initial in inputs:
        ending = await run_on_walk(examples.workflow("licences"), initial["initial_state"], runner)
        assert ending.status == "COMPLETED", (initial, ending.error)
        judged[initial["initial_state"]["user_input"]] = ending.final_state["final_output"]
    assert {n: o["verdict"] for n, o in judged.items()} == {
        n: verdict(p) for n, p in packages.items()
    }
    assert {n: o["version"] for n, o in judged.items()} == {
        n: p.version for n, p in packages.items()
    }
    users = users_by_need(packages)
    for name, output in judged.items():
        assert [row["package"] for row in output["users"]] == users.get(name, []), name


def test_the_environment_is_worth_judging() -> None:
    """Otherwise the test above would compare nothing with nothing."""
    verdicts = {verdict(package) for package in by_name().values()}
    assert {"copyleft", "permissive"} <= verdicts
    assert len(packages_distributions()) > 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LGPL-3.0-only", "copyleft"),
        ("GPLv2+", "copyleft"),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "copyleft"),
        ("Simple BSD", "permissive"),
        ("Do what you like", "unknown"),
    ],
)
async def test_rules_tell_licences_apart(
    text: str, expected: str, runner: NodeRunner, tmp_path: Path
) -> None:
    """The router alone, on texts nobody here is under."""
    spec = examples.workflow("licences")
    router = next(node for node in spec["nodes"] if node["id"] == "judge")
    alone = {"start_node": "judge", "nodes": [router]}
    state = {"user_input": "x", "package": [{"licence": text}]}
    ending = await run_on_walk(json.loads(json.dumps(alone)), state, runner)
    assert ending.final_state["intent"] == expected


async def test_a_package_that_is_not_installed_is_unknown(runner: NodeRunner) -> None:
    state = {"user_input": "no-such-package"}
    ending = await run_on_walk(examples.workflow("licences"), state, runner)
    assert ending.final_state["final_output"]["verdict"] == "unknown"
    assert ending.final_state["package"] == [{"found": 0, "version": "", "licence": ""}]
