"""Texts that could kill a process are given to a process of their own, which has to survive."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from agentflow.contracts.errors import AgentflowError
from agentflow.engine.conditions import compile_condition
from agentflow.engine.rules import compile_rule
from agentflow.engine.patterns import compile_pattern
from agentflow.engine.schemas import compile_schema
from agentflow.engine.templates import compile_template
from agentflow.engine.validation import validate, validate_spec

STATE = {"a": list(range(1000)), "s": "x" * 60_000, "t": True}

def attempt(call):
    try:
        call()
    except AgentflowError as error:
        print(error.code)

TEXTS = {TEXTS}
for text in TEXTS:
    for cut in (len(text), 3_900, 400):
        attempt(lambda: compile_condition(text[:cut]).holds(STATE))
        attempt(lambda: compile_rule(text[:cut]).holds("x", STATE))
        attempt(lambda: compile_pattern(text[:cut]).search("x" * 1000))
        attempt(lambda: compile_template(text[:cut]).render(STATE))
        attempt(lambda: compile_template("{{ " + text[:cut] + " }}", "jinja").render(STATE))
        validate(text[:cut])
        document = {"start_node": "n", "nodes": [{"id": "n", "type": "input", "when": text[:cut]}]}
        assert validate_spec(document) is not None
print("survived")
"""

N = 100_000
MONSTERS = {
    "brackets": "('(' * N, '(' * N + 't' + ')' * N, '[' * N, '{{1:' * N, '[' * 1900 + ']' * 1900)",
    "signs": "('!' * N + 't', '-' * N + '1', '~' * N, 'not ' * N, '!' * 3899 + 't')",
    "chains": "('a' + '.b' * N, 'a' + '[0]' * N, 't' + '.size()' * N, 'a.' * N, 'a|e' * N)",
    "sums": "('a' + '+a' * N, 't' + '&&t' * N, 't' + '==t' * N, \"s\" + '+s' * 1900, 't||' * N)",
    "choices": "('t?t:' * N + 't', 't ? ' * N, '(a|' * N, 't if t else ' * N, 't?' * 99)",
    "macros": "('a.all(x,' * N + 't' + ')' * N, 'a' + '.map(x,x)' * 400, 'a.all(x,' * 9)",
    "strings": "('\"' * N, \"'\" * N, '\\\\\\\\' * N, 'r\"' * N, \"'''\" * N)",
    "calls": "('size(' * N + 'a' + ')' * N, 'contains(' * N, 'f(' * 900 + ')' * 900, 'int(' * 99)",
    "blocks": "('{% if t %}' * N, '}}{% for x in a %}' * 60 + '{% endfor %}' * 60, '{# ' * N)",
    "nulls": "('\\\\0' * 1000, chr(0xd800) * 1000, '\\\\ufeff' * 1000, '٣' * 1000)",
}


@pytest.mark.parametrize("name", MONSTERS)
def test_a_process_survives_texts_made_to_kill_it(name: str) -> None:
    program = PROGRAM.replace("{TEXTS}", MONSTERS[name].replace("N", str(N)).replace("{{", "{"))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.stdout.endswith("survived\n"), (done.returncode, done.stderr[-2000:])


def test_a_process_that_is_killed_by_its_text_would_be_noticed() -> None:
    program = PROGRAM.replace("{TEXTS}", "('x',)").replace(
        'print("survived")', "import ctypes; ctypes.string_at(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode != 0
    assert "survived" not in done.stdout
