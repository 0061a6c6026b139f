"""What a lost ledger knew of art, from what tokens' metadata says: who made a picture, and what a run wrote down of it.

Nothing is opened: neither a generator nor a folder has to be here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.art.draw.stage import determinism_by
from pipeline.art.drawn import is_installed
from pipeline.art.existing import found_again, taken_from
from pipeline.art.source import LAYERS
from pipeline.base.errors import Corrupt
from pipeline.base.pictures import BadPicture, measure
from pipeline.base.records import Artwork, Determinism, Fingerprint, Found, Provenance, TokenWords
from pipeline.base.seeds import attempt_of, token_seed

FORGOTTEN = "a folder that was forgotten with the ledger"  # what a run of existing images was called with
_DRAWN = ("model", "weights_sha256", "renderer", "encoder", "seed", "size")  # what metadata says of a generator
_TEXTS = ("name", "description", "external_url", "background_color", "youtube_url", "animation_url")


@dataclass(frozen=True, slots=True)
class Maker:
    """How tokens came to be that were made alike; `provenance` is None where nothing claims to make them again."""

    provenance: Provenance | None

    @property
    def arguments(self) -> dict[str, str | int]:
        """What the call that made them said of its art, as far as that is known."""
        if self.provenance is None:
            return {"images": FORGOTTEN}
        made = self.provenance
        if made.model == LAYERS:
            return {"layers": FORGOTTEN, "size": made.size}
        known = {"model": made.model, "voice": "", "material": "", "palettes": ""} if is_installed(made.model) else {}
        return {**known, "size": made.size}

    def fingerprint(self, digests: Iterable[bytes], size: int) -> Fingerprint:
        """What a run wrote down of its art. What only its machine knew is filled in with the plainest value."""
        if self.provenance is None:
            return taken_from(digests, size)
        return Fingerprint(**asdict(self.provenance), device="cpu", dtype="float32")

    @property
    def determinism(self) -> Determinism:
        return determinism_by(self.provenance.renderer) if self.provenance else "C"

    def seed_of(self, document: Mapping[str, Any], collection_seed: int, token_id: int) -> tuple[int, int | None]:
        """A token's seed, and the attempt that it is of; None where it is of another collection seed."""
        if self.provenance is None:
            return token_seed(collection_seed, token_id), 0
        seed = int(document["generator"]["seed"])
        return seed, attempt_of(collection_seed, token_id, seed)

    def found(self, artworks: Sequence[Artwork]) -> dict[int, Found]:
        """What was planned of images that existed, by token id."""
        return {} if self.provenance else {artwork.token_id: found_again(artwork) for artwork in artworks}

    def must_measure(self, data: bytes, what: str) -> None:
        """Refuse a drawing that has not the run's size, before a pixel is decoded. Raises Corrupt.

        A generator draws squares; of layers the longer side is the size.
        """
        if self.provenance is None:
            return
        size = self.provenance.size
        try:
            seen = measure(data, ("PNG",))
        except BadPicture as error:
            raise Corrupt(what=what, reason=error.reason) from error
        is_square = self.provenance.model == LAYERS or seen.width == seen.height
        if max(seen.width, seen.height) != size or not is_square:
            raise Corrupt(what=what, reason=f"it is not {size} pixels wide and high")


def maker_of(document: Mapping[str, Any], what: str) -> Maker:
    """Who made a token, by its document. Raises Corrupt for one that says half of it."""
    made = document.get("generator")
    if made is None:
        return Maker(None)
    if not (isinstance(made, dict) and made.keys() >= set(_DRAWN)):
        raise Corrupt(what=what, reason="it does not say how the token was drawn")
    return Maker(
        Provenance(made["model"], made["weights_sha256"], made["renderer"], made["encoder"], made["size"]),
    )


def words_of(document: Mapping[str, Any], common: Mapping[str, str]) -> TokenWords:
    """What a token says of itself, less what it says because its collection does."""
    texts = {field: str(document[field]) for field in _TEXTS if field in document}
    made = document.get("generator") or {}
    return TokenWords(
        **{field: text for field, text in texts.items() if text != common.get(field)},
        drawn_from=tuple((name, value) for name, value in made.items() if name not in _DRAWN),
    )
