"""publish_directly.py shows the bus as it is: it may not lean on our own packages."""

import re
import sys

from tests.support.examples import EXAMPLES

SCRIPT = EXAMPLES / "publish_directly.py"


def test_the_example_uses_nothing_of_ours() -> None:
    imported = re.findall(r"^(?:from|import) (\w+)", SCRIPT.read_text(), re.MULTILINE)
    assert "nats" in imported
    assert "agentflow" not in imported
    assert set(imported) - {"nats"} <= set(sys.stdlib_module_names)
