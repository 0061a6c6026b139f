"""Plug-ins installed beside the package, as a stranger's would be."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import REPOSITORY, Ended, Pipeline

from pipeline.testing import install_plugin as install

__all__ = ["install", "run"]


def run(pipeline: Pipeline, plugin: Path, *words: str, cwd: Path | None = None, **environment: str) -> Ended:
    """The pipeline with the plug-in in folder `plugin` at hand."""
    return pipeline(*words, cwd=cwd, env={"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{plugin}", **environment})
