"""Write what is installed in this environment, and under which licence, into SQLite.

    python examples/licences/prepare.py path/to/licences.db path/to/packages.jsonl

The tables are `packages` and `requirements` (who needs whom, without extras); the JSONL file
holds one initial state per package, in order of name.
"""

import json
import re
import sqlite3
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

SCHEMA = """
CREATE TABLE packages (name TEXT PRIMARY KEY, version TEXT NOT NULL, licence TEXT NOT NULL);
CREATE TABLE requirements (package TEXT NOT NULL, needs TEXT NOT NULL,
    PRIMARY KEY (package, needs));
CREATE INDEX needed_by ON requirements (needs);
"""
LONGEST_LICENCE = 120


def normalised(name: str) -> str:
    """PEP 503: `Foo.Bar_baz` and `foo-bar-baz` are one package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def field_of(package: Distribution, field: str) -> str:
    """A field of its metadata, empty when it is not there."""
    values = package.metadata.get_all(field) or [""]
    return str(values[0]).strip()


def licence_of(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the free text."""
    if expression := field_of(package, "License-Expression"):
        return expression
    classifiers = package.metadata.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    if named := [name for name in named if name != "OSI Approved"]:
        return "; ".join(named)
    return field_of(package, "License").partition("\n")[0][:LONGEST_LICENCE]


def needs_of(package: Distribution) -> set[str]:
    """Names of what it always needs; what only an extra or another platform needs is left out."""
    plain = (r for r in package.requires or [] if "extra ==" not in r)
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement) for requirement in plain)
    return {normalised(match.group()) for match in found if match}


def installed() -> dict[str, Distribution]:
    """The packages by name; of two of the same name the one that is imported."""
    found: dict[str, Distribution] = {}
    for package in distributions():
        if name := field_of(package, "Name"):
            found.setdefault(normalised(name), package)
    return dict(sorted(found.items()))


def main(database: Path, inputs: Path) -> None:
    database.parent.mkdir(parents=True, exist_ok=True)
    inputs.parent.mkdir(parents=True, exist_ok=True)
    fresh = database.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    packages = installed()
    connection = sqlite3.connect(fresh)
    try:
        connection.executescript(SCHEMA)
        for name, package in packages.items():
            row = (name, package.version, licence_of(package))
            connection.execute("INSERT INTO packages VALUES (?, ?, ?)", row)
            needs = sorted((name, need) for need in needs_of(package))
            connection.executemany("INSERT INTO requirements VALUES (?, ?)", needs)
        connection.commit()
    finally:
        connection.close()
    fresh.replace(database)
    with inputs.open("w") as file:
        for name in packages:
            file.write(json.dumps({"initial_state": {"user_input": name}}) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: prepare.py DATABASE INPUTS  (the SQLite and the JSONL file to write)")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
