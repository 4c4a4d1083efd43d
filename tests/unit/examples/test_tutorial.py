"""The first tutorial, followed to the letter: the file is saved, the commands are typed.

The part that needs a running stack is followed in tests/e2e/test_examples_tutorial.py.
"""

from pathlib import Path

import pytest

from tests.support.examples import ROOT
from tests.support.tutorial import follow

PAGE = ROOT / "docs" / "tutorials" / "first-workflow.md"


def test_following_the_page_gives_what_it_says(tmp_path: Path) -> None:
    assert follow(PAGE, tmp_path, ["run"]) == 2


def test_a_page_that_promises_something_else_is_noticed(tmp_path: Path) -> None:
    """Two commands print a result; one of the two promises is broken here."""
    lying = tmp_path / "lying.md"
    lying.write_text(PAGE.read_text().replace('Please switch it off and on."\n', 'Buy one."\n'))
    assert lying.read_text() != PAGE.read_text()
    with pytest.raises(AssertionError, match="Buy one"):
        follow(lying, tmp_path, ["run"])
