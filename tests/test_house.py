"""The order of the rooms: every import, inside functions too, is read against what docs/design.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import REPOSITORY

PACKAGE = REPOSITORY / "pipeline"
OLD_NAMES = {"generate", "cid", "errors", "records"}  # of 0.1, which installed plug-ins import: for one release

# Where our own modules may be imported inside a function: what is behind such a door is heavy, or differs by a name.
DOORS = {
    "__init__",  # the API, by `__getattr__`
    "art.source",  # the sources by their kind
    "art.draw",  # `load_generator`: the generators by their names
    "art.draw.composed",  # a learned material loads torch
    "art.voices",  # composed art, which loads numpy
    "art.drawn",  # what a written composition is called
    "pin",  # `load_pinners`: the places by their names
    "api",  # `train`, which loads torch
}


@dataclass(frozen=True)
class Import:
    """One import of a module of ours by another."""

    importer: str
    line: int
    imported: str
    in_function: bool
    optional: bool  # behind `with extra(…)`: it stands on a package that need not be there

    def __str__(self) -> str:
        return f"pipeline/{self.importer.replace('.', '/')}.py:{self.line} imports {self.imported}"


def modules() -> dict[str, Path]:
    """Every module below the package, by its name without `pipeline.`."""
    files = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for parts, path in files.items()}


MODULES = modules()


def imports(name: str) -> Iterator[Import]:
    """Every import of our own modules that a module makes."""

    def walk(node: ast.AST, inside: bool, optional: bool = False) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "pipeline":
                base = child.module.removeprefix("pipeline").lstrip(".")
                for alias in child.names:
                    longer = f"{base}.{alias.name}".lstrip(".")
                    yield Import(
                        name, child.lineno, longer if longer in MODULES else base or "__init__", inside, optional
                    )
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == "pipeline":
                        yield Import(name, child.lineno, alias.name.partition(".")[2] or "__init__", inside, optional)
            deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(
                child, deeper, optional or (isinstance(child, ast.With) and "extra(" in ast.unparse(child.items[0]))
            )

    return walk(ast.parse(MODULES[name].read_text()), False)


IMPORTS = [found for name in MODULES for found in imports(name)]


def floors() -> list[list[str]]:
    """The rooms from the ground up, read from the line of docs/design.md that orders them."""
    page = (REPOSITORY / "docs" / "design.md").read_text()
    order = re.search(r"^    (base < .*)$", page, re.MULTILINE)
    assert order, "docs/design.md has no line `base < …`"
    return [re.findall(r"[\w/]+", floor) for floor in order[1].split("<")]


FLOORS = floors()


def room(module: str) -> str:
    """The longest name of a room that a module lies in; the module itself where it lies in none."""
    path = module.replace(".", "/")
    rooms = [name for floor in FLOORS for name in floor if path == name or path.startswith(f"{name}/")]
    return max(rooms, key=len, default=path)


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def test_every_room_of_the_package_stands_in_the_order_and_the_other_way_round() -> None:
    standing = {name for rooms in FLOORS for name in rooms}
    loose = {"__init__", "__main__"}  # the door of the package and of `python -m`
    assert {room(name) for name in MODULES} - loose - OLD_NAMES == standing


def test_imports_point_down() -> None:
    upward = [
        found
        for found in IMPORTS
        if room(found.importer) not in {"__init__", "__main__"} | OLD_NAMES
        and room(found.importer) != room(found.imported)
        and (room(found.imported) == "__init__" or floor(room(found.importer)) <= floor(room(found.imported)))
    ]
    assert not upward, "\n".join(map(str, upward))


def test_own_modules_are_imported_at_the_top_but_for_the_doors() -> None:
    """A verb is a door too: `pipeline --help` imports what none of them does."""
    inside = [
        found
        for found in IMPORTS
        if found.in_function
        and found.importer not in DOORS
        and not found.importer.startswith("cli.")
        and not found.optional
    ]
    assert not inside, "\n".join(map(str, inside))


# Where a file is opened otherwise than by `base.files`, which takes plain files alone, up to a limit: by module and call.
PLAIN = {
    "base.files": {"os.open": "the door itself, what is being written, folders to be synced"},
    "base.workspace": {"os.open": "the lock, read and written: a pipe would not be waited for"},
    "base.pictures": {"Image.open": "bytes in memory"},
    "art.draw.encode": {"Image.open": "bytes in memory"},
    "art.train.material": {"(folder / LOG).open": "ours, to be written"},
    "art.train.runs": {"(self.folder / 'log.jsonl').open": "to be written, after it was read through the door"},
    "cli.beginning": {"path.open": "a new file, to be written"},
    "cli.main": {"open": "/dev/null", "os.open": "/dev/null"},
    "base.keyfiles": {"os.open": "a new file, to be written"},
    "mint.compile": {"path.read_bytes": "a file of the package"},
    "mint.devnet": {
        "(folder / 'lock').open": "read and written: a pipe would not be waited for",
        "(folder / 'node.log').open": "read and written: a pipe would not be waited for",
        "Path(f'/proc/{pid}/cmdline').read_bytes": "the kernel's",
        "Path(f'/proc/{pid}/stat').read_text": "the kernel's",
    },
    "pin.store": {"open": "a handle of os.open", "os.open": "read and written: a pipe would not be waited for"},
    "serve.gallery": {"file.read_bytes": "files of the package"},
}
OURS = {
    "self._reader",
    "self.store",
    "self",
    "store",
    "unixfs",
    "webbrowser",
}  # whose `open` and `read_bytes` open no path


def test_files_are_read_through_the_one_door() -> None:
    found = {
        (name, ast.unparse(call.func))
        for name, path in MODULES.items()
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and (
            (isinstance(call.func, ast.Name) and call.func.id == "open")
            or (
                isinstance(call.func, ast.Attribute)
                and call.func.attr in ("open", "read_text", "read_bytes")
                and ast.unparse(call.func.value) not in OURS
            )
        )
    }
    assert found == {(name, call) for name, calls in PLAIN.items() for call in calls}
