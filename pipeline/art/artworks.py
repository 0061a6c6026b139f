"""The artworks of a run: kept from an earlier process, or drawn, and each recorded before it is handed on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.folder import copied
from pipeline.base.errors import GenerationError
from pipeline.base.records import Artwork, BatchPlan, Found, Provenance, TokenSpec
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger, Run

if TYPE_CHECKING:
    from pipeline.art.draw import Generator
    from pipeline.base.observer import Observer


class Artworks:
    """What is drawn for the unsealed batches of a run, in the order of the token ids."""

    def __init__(
        self, run: Run, ledger: Ledger, workspace: Workspace, generator: Generator | None, observer: Observer
    ) -> None:
        self._run, self._workspace, self._generator, self._observer = run, workspace, generator, observer
        self._ledger = ledger
        self.undrawn = self._ledger.batches.undrawn(run.id)
        self._found: dict[int, Found] = {}  # of the batch at hand, where images existed before
        self.sealed = run.count - sum(plan.quantity for plan in self.undrawn)  # tokens that need no drawing any more

    def __iter__(self) -> Iterator[Artwork]:
        run, drawn = self._run, self.sealed
        kept: set[int] = set()
        tokens = self._tokens(kept)
        for artwork in self._copied(tokens) if self._generator is None else self._drawn(tokens, self._generator):
            if artwork.token_id in kept:
                kept.remove(artwork.token_id)
            else:
                self._ledger.tokens.record(run.collection, artwork)
            drawn += 1
            self._observer.progress("draw", drawn, run.count)
            yield artwork

    def _drawn(self, tokens: Iterator[TokenSpec | Artwork], generator: Generator) -> Iterator[Artwork]:
        """Draw what is missing, through a gate that knows the whole collection."""
        from pipeline.art.draw import Gate, generate

        run = self._run
        collection = self._ledger.collections.get(run.collection)
        gate = Gate(collection.seed, self._ledger.tokens.hashes(run.collection), run.duplicate_bits)
        return generate(tokens, generator, run.size, gate, self._image, encoder_of(run))

    def _copied(self, tokens: Iterator[TokenSpec | Artwork]) -> Iterator[Artwork]:
        """Take what is missing from the files that were planned."""
        return copied(tokens, lambda token_id: self._found[token_id], self._image(1).parent)

    def _tokens(self, kept: set[int]) -> Iterator[TokenSpec | Artwork]:
        """Each token as its artwork where that is intact (it enters `kept`), else as it is planned."""
        for plan in self.undrawn:
            self._found = self._ledger.tokens.found(plan, self._run.collection)
            intact = self._intact(plan)
            kept.update(intact)
            yield from (intact.get(spec.token_id, spec) for spec in self._ledger.tokens.specs(plan))

    def _intact(self, plan: BatchPlan) -> dict[int, Artwork]:
        """Recorded artworks of a batch whose files still have their digest; the others are drawn or copied again."""
        kept = {}
        for token_id, artwork in self._ledger.tokens.drawn(plan, self._image).items():
            found = self._found.get(token_id)
            files = {artwork.path: artwork.image_sha256}
            if found is not None:
                artwork = replace(artwork, path=artwork.path.with_suffix(found.suffix), found=found)
                files = {artwork.path: found.sha256}
                if found.animation is not None and found.animation_sha256 is not None:
                    files[artwork.path.with_suffix(found.animation.suffix.lower())] = found.animation_sha256
            if all(path.exists() and _digest(path) == digest for path, digest in files.items()):
                kept[token_id] = artwork
        return kept

    def _image(self, token_id: int) -> Path:
        return self._workspace.image(self._run.collection, token_id)


def image_files(workspace: Workspace, ledger: Ledger, collection_id: int, plan: BatchPlan) -> list[Path]:
    """Every file of a sealed batch's images directory, as the workspace has them."""
    found, files = ledger.tokens.found(plan, collection_id), list[Path]()
    for token in ledger.tokens.of(collection_id, plan.start, plan.quantity):
        files.append(workspace.image(collection_id, token.token_id, token.suffix))
        one = found.get(token.token_id)
        if one is not None and one.animation is not None:
            files.append(workspace.image(collection_id, token.token_id, one.animation.suffix.lower()))
    return files


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def provenance_of(generator: Generator, size: int, encoder: str) -> Provenance:
    """What draws the images of a run, complete enough to draw each of them again."""
    from pipeline.art.draw import provenance

    return provenance(generator, size, encoder)


def drawn_with(generator: Generator | None, found: Sequence[Found], size: int, encoder: str) -> dict[str, Any]:
    """What a run remembers of where its images come from: a generator, or files by a digest over all of theirs."""
    if generator is not None:
        extra = {"device": generator.device, "dtype": generator.dtype, "threads": generator.threads}
        return {**asdict(provenance_of(generator, size, encoder)), **extra}
    return taken_from((one.sha256 for one in found), size)


def taken_from(digests: Iterable[bytes], size: int) -> dict[str, Any]:
    """What a run remembers of images that existed: a digest over the digests of all of them."""
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    nothing = dict.fromkeys(("renderer", "encoder", "device", "dtype"), "none")
    return {"model": "images", "weights_sha256": digest, "size": size, "threads": 1, **nothing}


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
