"""The rules of the house that no linter knows (docs/architecture.md, CONTRIBUTING.md).

Each rule is a pure function from files to complaints. Each is held against this repository,
and against a small text that breaks it: a rule that cannot fail is no rule.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "shared", "manager", "managers"}
SERVICES = ("gateway", "validator", "executor", "node-workers", "history", "audit")
LIGHT_ROOMS = (
    "contracts",
    "telemetry",
    "bus",
    "storage",
    "gateway",
    "history",
    "audit",
    "executor",
)
TEXT_SUFFIXES = {
    *(".py", ".md", ".toml", ".json", ".yaml", ".yml", ".sh", ".sql", ".csv", ".txt", ".ini"),
    *(".cfg", ".html", ".css", ".js", ".svg", ".mako", ".example", ""),
}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home/\w+|root|Users/\w+|tmp/\w+)/")
REGISTRY_HOST = re.compile(
    r"pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org"
)
IGNORE = re.compile(r"#\s*(?:noqa\b(?::\s*[A-Z0-9, ]+)?|type:\s*ignore\S*)")
SELF = "tests/test_house_rules.py"

Complaints = Iterator[str]


def tracked_files() -> list[Path]:
    """What git knows or would take: files being written count before they are committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


def python_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py"]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def long_files(name: str, text: str) -> Complaints:
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{name} has {lines} lines; at most {MAX_FILE_LINES}"


def long_functions(name: str, text: str) -> Complaints:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                where = f"{name}:{node.lineno} {node.name}"
                yield f"{where} has {lines} lines; at most {MAX_FUNCTION_LINES}"


def banned_names(name: str, _: str) -> Complaints:
    for part in Path(name).with_suffix("").parts:
        if part in BANNED_NAMES or part.rsplit("_", 1)[-1] in BANNED_NAMES:
            yield f"{name}: {part!r} says nothing; name it for what it does"


def namespace_inits(name: str, _: str) -> Complaints:
    if re.search(r"src/agentflow/__init__\.py$", name):
        yield f"{name}: agentflow is a PEP 420 namespace and has no __init__.py"


def missing_docstrings(name: str, text: str) -> Complaints:
    if text.strip() and ast.get_docstring(ast.parse(text)) is None:
        yield f"{name}: the law of a file stands in its docstring"


def ignores_without_reason(name: str, text: str) -> Complaints:
    for number, line in enumerate(text.splitlines(), 1):
        for match in IGNORE.finditer(line):
            rest = line[match.end() :]
            if not re.search(r"[A-Za-z]{3,}", IGNORE.sub("", rest)):
                yield f"{name}:{number} an ignore without its reason"


def machine_paths(name: str, text: str) -> Complaints:
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield f"{name}:{number} names a path of one machine"


def registry_hosts(name: str, text: str) -> Complaints:
    for number, line in enumerate(text.splitlines(), 1):
        if REGISTRY_HOST.search(line):
            yield f"{name}:{number} names a package registry"


def unbounded_dependencies(name: str, text: str) -> Complaints:
    document = tomllib.loads(text)
    groups: list[list[str]] = [document.get("project", {}).get("dependencies", [])]
    groups += document.get("project", {}).get("optional-dependencies", {}).values()
    groups += document.get("dependency-groups", {}).values()
    groups.append(document.get("build-system", {}).get("requires", []))
    for requirement in (item for group in groups for item in group):
        if "<" not in requirement and not requirement.startswith("agentflow-"):
            yield f"{name}: {requirement} has no upper bound"


def every_python_file(rule: Callable[[str, str], Complaints]) -> list[str]:
    return [c for path in python_files() for c in rule(relative(path), read(path))]


def every_text_file(rule: Callable[[str, str], Complaints]) -> list[str]:
    texts = [p for p in tracked_files() if p.suffix in TEXT_SUFFIXES and p.name != "uv.lock"]
    return [
        complaint
        for path in texts
        if relative(path) != SELF
        for complaint in rule(relative(path), path.read_text(encoding="utf-8", errors="replace"))
    ]


def test_no_file_is_longer_than_a_few_screens() -> None:
    assert every_python_file(long_files) == []


def test_no_function_is_longer_than_a_screen() -> None:
    assert every_python_file(long_functions) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert every_python_file(banned_names) == []


def test_the_namespace_has_no_init() -> None:
    assert every_python_file(namespace_inits) == []


def test_every_file_says_its_law_at_the_top() -> None:
    assert every_python_file(missing_docstrings) == []


def test_every_ignore_has_its_reason() -> None:
    assert [c for c in every_python_file(ignores_without_reason) if not c.startswith(SELF)] == []


def test_no_committed_file_names_a_path_of_one_machine() -> None:
    assert every_text_file(machine_paths) == []


def test_no_committed_file_names_a_package_registry() -> None:
    assert every_text_file(registry_hosts) == []


def test_every_dependency_has_an_upper_bound() -> None:
    files = [path for path in tracked_files() if path.name == "pyproject.toml"]
    assert len(files) >= 12
    assert [c for path in files for c in unbounded_dependencies(relative(path), read(path))] == []


BROKEN = [
    (long_files, "a.py", "x = 1\n" * 501),
    (long_functions, "a.py", "def f():\n" + "    x = 1\n" * 61),
    (banned_names, "libs/bus/src/agentflow/bus/string_utils.py", ""),
    (banned_names, "libs/common/x.py", ""),
    (namespace_inits, "libs/new/src/agentflow/__init__.py", ""),
    (missing_docstrings, "a.py", "x = 1\n"),
    (ignores_without_reason, "a.py", "x = f()  # noqa: S101\n"),
    (ignores_without_reason, "a.py", "x = f()  # type: ignore[arg-type]\n"),
    (machine_paths, "a.md", "see /work/main/README.md\n"),
    (machine_paths, "a.md", "run /home/ann/agentflow\n"),
    (registry_hosts, "a.toml", 'index = "https://pypi.org/simple"\n'),
    (unbounded_dependencies, "pyproject.toml", '[project]\ndependencies = ["httpx>=0.28"]\n'),
    (unbounded_dependencies, "pyproject.toml", '[dependency-groups]\ndev = ["pytest"]\n'),
]


@pytest.mark.parametrize(("rule", "name", "text"), BROKEN)
def test_each_rule_complains_about_what_breaks_it(
    rule: Callable[[str, str], Complaints], name: str, text: str
) -> None:
    assert list(rule(name, text))


def test_the_rules_accept_what_is_right() -> None:
    text = '"""Law."""\nx = f()  # noqa: S101 - the shell has checked it\n'
    for rule in (long_files, long_functions, missing_docstrings, ignores_without_reason):
        assert list(rule("libs/bus/src/agentflow/bus/names.py", text)) == []
    assert list(banned_names("libs/bus/src/agentflow/bus/names.py", "")) == []
    assert list(machine_paths("a.md", "GET /workflows/{id} and ./work/x\n")) == []
    bounded = '[project]\ndependencies = ["httpx>=0.28,<0.29", "agentflow-bus"]\n'
    assert list(unbounded_dependencies("pyproject.toml", bounded)) == []


def test_the_licence_is_apache_2() -> None:
    text = read(ROOT / "LICENSE")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    for path in ROOT.glob("*/*/pyproject.toml"):
        assert 'license = "Apache-2.0"' in read(path), path


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_furniture(service: str) -> None:
    room = ROOT / "services" / service / "src" / "agentflow" / service.replace("-", "_")
    app = ast.parse(read(room / "app.py"))
    functions = {node.name: node for node in app.body if isinstance(node, ast.FunctionDef)}
    assert {"create_app", "main"} <= functions.keys()
    assert [arg.arg for arg in functions["create_app"].args.args][:2] == [
        "settings",
        "bus_settings",
    ]
    assert (room / "settings.py").is_file()
    assert (room / "handlers.py").is_file() or (room / "routes").is_dir()
    assert (room / "py.typed").is_file()
    project = tomllib.loads(read(ROOT / "services" / service / "pyproject.toml"))["project"]
    module = service.replace("-", "_")
    assert project["scripts"] == {f"agentflow-{service}": f"agentflow.{module}.app:main"}


def modules_of(room: str) -> list[str]:
    """Every importable module of a room."""
    found = []
    for base in (*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src"), ROOT / "cli/src"):
        for path in sorted((base / "agentflow" / room).rglob("*.py")):
            if "migrations" in path.parts or path.name == "__main__.py":
                continue  # Alembic runs those itself, and __main__ is a command
            parts = path.relative_to(base).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


IMPORT_AND_WATCH = """
import asyncio, importlib, signal, socket, subprocess, sys, threading
made = []
WATCHED = ("socket.bind", "socket.connect", "subprocess.Popen", "_thread.start_new_thread")
def record(event, args):
    if event in WATCHED and not by_a_library(sys._getframe()):
        made.append(event)
def by_a_library(frame):  # urllib3 binds a socket at import to see whether there is IPv6
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame is not None and "site-packages" in frame.f_code.co_filename
sys.addaudithook(record)
handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
for name in sys.argv[1:]:
    importlib.import_module(name)
assert handlers == {n: signal.getsignal(n) for n in handlers}, "signal handlers changed"
assert threading.active_count() == 1, f"threads: {threading.enumerate()}"
assert not made, f"at import: {made}"
print(*(name for name in ("langgraph", "langchain_core") if name in sys.modules))
"""


def import_alone(*modules: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IMPORT_AND_WATCH, *modules],
        capture_output=True,
        text=True,
        check=False,
    )


ROOMS = [
    *("contracts", "engine", "telemetry", "storage", "bus", "cli"),
    *(service.replace("-", "_") for service in SERVICES),
]


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_creates_nothing(room: str) -> None:
    modules = modules_of(room)
    assert modules
    done = import_alone(*modules)
    assert done.returncode == 0, done.stderr
    if room in LIGHT_ROOMS or room == "node_workers":
        assert done.stdout.strip() == "", f"{room} pays for LangGraph"


@pytest.mark.parametrize(
    "source",
    [
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0))",
        "import threading; threading.Timer(60, print).start()",
        "import subprocess; subprocess.run(['true'])",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    ],
)
def test_the_import_watch_sees_what_a_module_creates(source: str, tmp_path: Path) -> None:
    (tmp_path / "guilty.py").write_text(source.replace("60, print", "0.5, print"))
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + IMPORT_AND_WATCH
    done = subprocess.run(
        [sys.executable, "-c", script, "guilty"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


def test_the_import_watch_sees_langgraph(tmp_path: Path) -> None:
    (tmp_path / "langgraph.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + IMPORT_AND_WATCH
    done = subprocess.run(
        [sys.executable, "-c", script, "langgraph"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "langgraph"
