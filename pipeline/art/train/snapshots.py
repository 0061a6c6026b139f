"""What is kept of a run beside its last weights: the best by KID, and the last few.

    snapshots/0001200.safetensors   the last KEPT, by their steps
    best.safetensors                the one whose pictures were nearest to the training pictures
    snapshots.jsonl                 the figures of every snapshot that there ever was

Snapshots follow checkpoints, and those the clock: which there are depends on when somebody looked, what is in them does not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.art.draw.notes import BEST, WEIGHTS
from pipeline.base.files import open_regular, read_regular, whole_file, write_whole
from pipeline.base.untrusted import parse_json

KEPT = 5
LIST_BYTES = 64 << 20


class Snapshots:
    """Those of the run in `folder`, as far as they are not later than `step`: later ones will be taken again."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.list = folder, folder / "snapshots.jsonl"
        lines = read_regular(self.list, LIST_BYTES).decode(errors="replace").splitlines() if self.list.exists() else []
        self.taken = [found for line in lines if (found := _read(line)) and found["step"] <= step]
        if len(self.taken) != len(lines):
            self._write()

    @property
    def best(self) -> dict[str, Any] | None:
        """The figures of the one with the least KID, of those that had not collapsed."""
        sound = [one for one in self.taken if "kid" in one and not one.get("collapsed")]
        return min(sound, key=lambda one: one["kid"], default=None)

    def take(self, step: int, figures: Mapping[str, float], *, collapsed: bool) -> None:
        """Keep the weights that were just written, with what was measured of their pictures."""
        found: dict[str, Any] = {"step": step, **figures} | ({"collapsed": True} if collapsed else {})
        before = self.best
        _copy(self.folder / WEIGHTS, self.folder / "snapshots" / f"{step:07d}.safetensors")
        if "kid" in figures and not collapsed and (before is None or figures["kid"] < before["kid"]):
            _copy(self.folder / WEIGHTS, self.folder / BEST)
        self.taken.append(found)
        self._write()
        for old in sorted((self.folder / "snapshots").glob("*.safetensors"))[:-KEPT]:
            old.unlink(missing_ok=True)

    def _write(self) -> None:
        write_whole(self.list, "".join(json.dumps(one) + "\n" for one in self.taken).encode())


def _copy(source: Path, target: Path) -> None:
    """A file of its own, or the same one under two names where the disk has that: neither is ever written into."""
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.link(source, linked)
        os.replace(linked, target)
    except OSError:
        linked.unlink(missing_ok=True)
        with open_regular(source) as read, whole_file(target) as write:
            shutil.copyfileobj(read, write)


def _read(line: str) -> dict[str, Any] | None:
    try:
        found = parse_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("step"), int) else None
