"""Generators installed beside the package, as a stranger's would be."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import REPOSITORY, Ended, Pipeline


def install(folder: Path, name: str, source: str, entry: str, group: str = "pipeline.generators", **more: str) -> Path:
    """Write `source` as module `name` whose `entry` is what `group` has by that name; the folder to put on the path.

    `more` names what the groups `pipeline.…` have of it beside that: `settings="Mine"`.
    """
    points = {group: entry} | {f"pipeline.{other}": entry for other, entry in more.items()}
    (folder / f"{name}.py").write_text(source)
    installed = folder / f"{name}-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = [f"[{group}]\n{name} = {name}:{entry}\n" for group, entry in points.items()]
    (installed / "entry_points.txt").write_text("".join(lines))
    return folder


def run(pipeline: Pipeline, plugin: Path, *words: str, cwd: Path | None = None, **environment: str) -> Ended:
    """The pipeline with the generator in folder `plugin` at hand."""
    return pipeline(*words, cwd=cwd, env={"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{plugin}", **environment})
