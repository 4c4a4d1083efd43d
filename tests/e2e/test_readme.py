"""README and CONTRIBUTING say what is true: commands are typed, files saved, links followed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import running_dev
from tests.support.examples import ROOT
from tests.support.pages import blocks
from tests.support.tutorial import follow

README = ROOT / "README.md"
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
TARGET = re.compile(r"(?:^ {4}|`)make ([a-z]+)", re.MULTILINE)
FENCE = re.compile(r"^```(sh|python)(.*)$", re.MULTILINE)


@pytest.mark.e2e
def test_every_command_and_snippet_of_the_readme_works(tmp_path: Path) -> None:
    with running_dev(tmp_path):
        follow(README, tmp_path, ["run", "stack"])
        programs = [block for block in blocks(README) if block.language == "python"]
        assert len(programs) == 1
        done = subprocess.run(
            [sys.executable, "-c", programs[0].text],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hello.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_that_could_be_run_is_run(page: str) -> None:
    found = FENCE.findall((ROOT / page).read_text())
    assert [kind for _, kind in found if kind.strip() not in ("run", "stack")] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    path = ROOT / page
    broken = [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(TARGET.findall((ROOT / page).read_text()))
    assert named <= targets
