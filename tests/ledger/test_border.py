"""SQL and the database's own words stay inside the ledger."""

from __future__ import annotations

import ast
import re

from conftest import REPOSITORY

PACKAGE = REPOSITORY / "pipeline"
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s.+\sSET|DELETE\s+FROM|CREATE\s+TABLE|PRAGMA)\b", re.DOTALL)


def test_no_sql_and_no_sqlite_outside_the_ledger() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.parent == PACKAGE / "ledger":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.search(node.value), f"{path}:{node.lineno}"
            if isinstance(node, ast.Import):
                assert "sqlite3" not in [alias.name for alias in node.names], f"{path}:{node.lineno}"


def test_only_the_engine_knows_which_database_it_is() -> None:
    for path in (PACKAGE / "ledger").glob("*.py"):
        text = path.read_text()
        assert path.name == "sqlite.py" or ("import sqlite3" not in text and "PRAGMA" not in text), path.name
