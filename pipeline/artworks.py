"""The artworks of a run: kept from an earlier process, or drawn, and each recorded before it is handed on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import GenerationError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.plans import Plans, Run
from pipeline.records import Artwork, BatchPlan, Provenance, TokenSpec
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.generate import Generator
    from pipeline.run import Observer


class Artworks:
    """What is drawn for the unsealed batches of a run, in the order of the token ids."""

    def __init__(
        self, run: Run, ledger: Ledger, workspace: Workspace, generator: Generator, observer: Observer
    ) -> None:
        self._run, self._workspace, self._generator, self._observer = run, workspace, generator, observer
        self._plans = Plans(ledger)
        self.undrawn = self._plans.undrawn_batches(run.id)
        self.sealed = run.count - sum(plan.quantity for plan in self.undrawn)  # tokens that need no drawing any more

    def __iter__(self) -> Iterator[Artwork]:
        from pipeline.generate import Gate, generate

        run, drawn = self._run, self.sealed
        collection = self._plans.collection_by_id(run.collection)
        gate = Gate(collection.seed, self._plans.hashes(run.collection), run.duplicate_bits)
        kept: set[int] = set()
        tokens = self._tokens(kept)
        for artwork in generate(tokens, self._generator, run.size, gate, self._image, encoder_of(run)):
            if artwork.token_id in kept:
                kept.remove(artwork.token_id)
            else:
                self._plans.record_artwork(run.collection, artwork)
            drawn += 1
            self._observer.progress("draw", drawn, run.count)
            yield artwork

    def _tokens(self, kept: set[int]) -> Iterator[TokenSpec | Artwork]:
        """Each token as its artwork where that is intact (it enters `kept`), else as it is planned."""
        for plan in self.undrawn:
            intact = self._intact(plan)
            kept.update(intact)
            yield from (intact.get(spec.token_id, spec) for spec in self._plans.specs(plan))

    def _intact(self, plan: BatchPlan) -> dict[int, Artwork]:
        """Recorded artworks of a batch whose files still have their digest; the others are drawn again."""
        return {
            token_id: artwork
            for token_id, artwork in self._plans.drawn(plan, self._image).items()
            if artwork.path.exists() and hashlib.sha256(artwork.path.read_bytes()).digest() == artwork.image_sha256
        }

    def _image(self, token_id: int) -> Path:
        return self._workspace.image(self._run.collection, token_id)


def provenance_of(generator: Generator, size: int, encoder: str) -> Provenance:
    """What draws the images of a run, complete enough to draw each of them again."""
    from pipeline.generate import provenance

    return provenance(generator, size, encoder)


def encoder_of(run: Run) -> str:
    """The name of the encoder that a run was planned with: the id begins with it."""
    return run.encoder.partition("-")[0]


def must_draw_the_same(run: Run, generator: Generator) -> None:
    """Refuse to continue with anything that would draw other pixels or write other bytes than the run began with."""
    now = provenance_of(generator, run.size, encoder_of(run))
    found = {
        "weights_sha256": now.weights_sha256,
        "renderer": now.renderer,
        "encoder": now.encoder,
        "dtype": generator.dtype,
    }
    for what, value in found.items():
        planned = getattr(run, what)
        if planned != value:
            raise GenerationError(
                reason=f"the unfinished run was planned with {what} {planned}, and this installation has {value}",
                hint="finish it with the version that began it, or mint into another --workspace",
            )
