"""The artworks of a run: kept from an earlier process, or made by its source, each recorded before it is handed on.

Files become durable in groups: the data of each, then their names, then one commit of the ledger that records them all.
Whatever is cut between two of these steps leaves files that nobody knows of, and they are made again.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.art.source import ArtSource, Work
from pipeline.base.files import make_durable, open_regular
from pipeline.base.records import Artwork, BatchPlan, TokenSpec
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger

GROUP, GROUP_S = 64, 0.25  # files that are made durable together, and how long the first may wait for the others


class Artworks:
    """What the unsealed batches of a run need, in the order of the token ids."""

    def __init__(self, source: ArtSource, work: Work) -> None:
        self._source, self._work = source, work
        self._tokens = work.ledger.tokens
        self.undrawn = work.ledger.batches.undrawn(work.run.id)
        self.sealed = work.run.count - sum(
            plan.quantity for plan in self.undrawn
        )  # tokens that need no picture any more

    def __iter__(self) -> Iterator[Artwork]:
        run, done = self._work.run, self.sealed
        kept: set[int] = set()
        for group in self._groups(self._source.artworks(self._todo(kept), self._work)):
            made = [artwork for artwork in group if artwork.token_id not in kept]
            kept.difference_update(artwork.token_id for artwork in group)
            if made:
                make_durable([path for artwork in made for path in artwork.files])
                self._tokens.record(run.collection, *made)
            for artwork in group:
                done += 1
                self._work.observer.progress("draw", done, run.count)
                yield artwork

    def _groups(self, artworks: Iterator[Artwork]) -> Iterator[list[Artwork]]:
        """Artworks in groups: of one batch, and not of more than come within a moment, so that a slow source's are handed
        on one by one. What came before an error is a group."""
        last = {plan.start + plan.quantity - 1 for plan in self.undrawn}
        group, closed = list[Artwork](), -math.inf
        try:
            for artwork in artworks:
                group.append(artwork)
                if len(group) == GROUP or artwork.token_id in last or time.monotonic() - closed > GROUP_S:
                    yield group
                    group, closed = [], time.monotonic()
        except Exception:
            if group:
                yield group
            raise
        if group:
            yield group

    def _todo(self, kept: set[int]) -> Iterator[TokenSpec | Artwork]:
        """Each token as its artwork where that is intact (it enters `kept`), else as it is planned."""
        for plan in self.undrawn:
            intact = self._intact(plan)
            kept.update(intact)
            yield from (intact.get(spec.token_id, spec) for spec in self._tokens.specs(plan))

    def _intact(self, plan: BatchPlan) -> dict[int, Artwork]:
        """Recorded artworks of a batch whose files still have their digest; the others are made again."""
        return {
            token_id: artwork
            for token_id, artwork in self._tokens.drawn(plan, self._work.image).items()
            if all(is_intact(path, digest) for path, digest in artwork.files.items())
        }


def image_files(workspace: Workspace, ledger: Ledger, collection: int, plan: BatchPlan) -> list[Path]:
    """Every file of a sealed batch's images directory, as the workspace has them."""
    return [
        workspace.image(collection, token.token_id, suffix)
        for token in ledger.tokens.of(collection, plan.start, plan.quantity)
        for suffix in (token.suffix, *((token.animation.suffix,) if token.animation else ()))
    ]


def is_intact(path: Path, sha256: bytes) -> bool:
    """Whether a plain file is there and hashes to what was recorded of it."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest() == sha256
    except OSError:  # gone, or something else lies there: what was recorded is not there
        return False
