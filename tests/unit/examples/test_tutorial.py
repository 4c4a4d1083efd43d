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


LYING_PAGE = """
```json file=echo.json
{"start_node": "in", "nodes": [{"id": "in", "type": "router", "metadata": {"strategy": "default",
 "default_intent": "quiet"}}]}
```

```sh run
agentflow run echo.json --local
```

```json expect final_output
"loud"
```
"""


def test_a_page_that_promises_something_else_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(LYING_PAGE)
    with pytest.raises(AssertionError, match="loud"):
        follow(page, tmp_path, ["run"])
