"""No code that nothing runs: every function and class of the package is named somewhere beside its definition."""

from __future__ import annotations

import ast
import re
from collections import Counter

from conftest import REPOSITORY

PACKAGE = REPOSITORY / "pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
ELSEWHERE = {
    "cli/main.py: _check_value",  # argparse calls it
    "pin/kubo.py: readinto",  # io does
}


def test_every_name_is_used_somewhere() -> None:
    """What nobody but a test asks for is dead code. A library's own hooks are found by their names: they override something."""
    files = [*MODULES, *PACKAGE.rglob("*.js"), REPOSITORY / "pyproject.toml"]
    scripts = [path for path in (REPOSITORY / "scripts").iterdir() if path.is_file()]
    words = Counter(word for path in (*files, *scripts) for word in re.findall(r"\w+", path.read_text()))
    alone = {
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and words[node.name] == 1
        and not node.name.startswith("__")
        and not any(isinstance(decorator, ast.Call) for decorator in node.decorator_list)  # a route, a fixture
    }
    assert alone - ELSEWHERE == set()
