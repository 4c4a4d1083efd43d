"""examples/manifest.json: what there is to run, and what has to be prepared for it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentflow.cli.errors import InvalidInput

MANIFEST = "manifest.json"
DATA = "{data}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Preparation(_Part):
    """A script that makes data, and the environment the nodes then need."""

    name: str
    run: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)


class Example(_Part):
    """One workflow with a few cases under `<name>/cases`."""

    name: str
    pattern: str
    needs: tuple[str, ...] = ()


class Job(_Part):
    """One workflow over many inputs; fields name parts of `final_output`."""

    name: str
    title: str
    workflow: str
    inputs: str
    needs: tuple[str, ...] = ()
    accuracy: tuple[str, ...] = ()
    accuracy_by: str | None = None
    count_by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


class Manifest(_Part):
    """The whole file; `folder` is where it lies."""

    folder: Path
    prepare: tuple[Preparation, ...] = ()
    examples: tuple[Example, ...] = ()
    demo: tuple[Job, ...] = ()

    def all_needs(self) -> set[str]:
        """The preparations some part of the demo needs."""
        jobs = {need for job in self.demo for need in job.needs}
        return jobs | {need for example in self.examples for need in example.needs}

    def preparations(self, names: Iterable[str]) -> list[Preparation]:
        """Those that are named, in the order of the file."""
        wanted = set(names)
        return [item for item in self.prepare if item.name in wanted]


def find_examples(given: Path | None = None) -> Path:
    """The examples folder: the named one, one in this directory, or this checkout's."""
    candidates = [given] if given else [Path("examples"), _checkout() / "examples"]
    for folder in candidates:
        if (folder / MANIFEST).is_file():
            return folder.resolve()
    raise InvalidInput(
        f"No examples found ({', '.join(str(c / MANIFEST) for c in candidates)}).",
        hint="Run this inside a checkout of AgentFlow Core, or name a folder with --examples.",
    )


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest; raises InvalidInput."""
    from agentflow.cli.inputs import read_spec

    path = folder / MANIFEST
    document: dict[str, Any] = {**read_spec(str(path)).document, "folder": folder}
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path} at {where}: {first['msg']}.") from None


def _checkout() -> Path:
    """The root of the checkout this code runs from; nonsense, but harmless, in a wheel."""
    return Path(__file__).resolve().parents[5]
