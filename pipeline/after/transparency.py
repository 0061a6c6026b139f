"""What is to be told of a collection: what was written, what was learned, from what, by which rule, how to check it, what is not known.

One document for machines and one for people, from the same facts: `Transparency`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.art.draw.marking import is_marked
from pipeline.art.source import Origin, open_source, recorded
from pipeline.base.limits import MAX_TOKEN_ID
from pipeline.base.records import NOTHING
from pipeline.ledger import Collection, Ledger, Run
from pipeline.mark.credential import SOURCE_TYPES
from pipeline.mark.watermark import number_of

SEED_RULE = (
    "A token's seed is 53 bits of SHA-256 over 'nft-pipeline/token-seed/v1', the collection's seed, the token id and the "
    "attempt: the first drawing that is neither blank nor like another token."
)


@dataclass(frozen=True, slots=True)
class Made:
    """How some tokens were made, in one run."""

    first: int
    last: int
    model: str
    renderer: str
    weights_sha256: str | None
    encoder: str
    size: int | None
    source_type: str | None  # address of the IPTC's word; None: not known
    written: str
    learned: str
    data: str
    watermark: bool


@dataclass(frozen=True, slots=True)
class Transparency:
    """All that is told of a collection."""

    collection: str
    contract: str | None
    chain_id: int | None
    artist: str
    licence: str
    statement: str
    made: tuple[Made, ...]
    seed_rule: str
    how_to_verify: tuple[str, ...]
    not_known: tuple[str, ...]
    mark: str | None  # eight hex digits: what stands for it in the watermarks of its pictures


def transparency(ledger: Ledger, collection: Collection, *, public: bool = False) -> Transparency:
    """The facts of a collection, from its ledger alone; for the `public` of what is minted."""
    counts = ledger.tokens.counts(collection.id)
    last = counts.get("mined", 0) + counts.get("final", 0) if public else MAX_TOKEN_ID
    runs = [run for run in reversed(ledger.runs.of(collection.id)) if run.start <= last]
    origins = [open_source(recorded(run)).about().origin(run.renderer) for run in runs]
    made = tuple(_made(run, origin, last) for run, origin in zip(runs, origins, strict=True))
    is_drawn = any(one.weights_sha256 for one in made)
    return Transparency(
        collection=collection.name,
        contract=collection.contract,
        chain_id=collection.known_chain_id,
        artist=collection.artist,
        licence=collection.licence,
        statement=collection.statement,
        made=made,
        seed_rule=SEED_RULE if is_drawn else "",
        how_to_verify=tuple(_how_to_verify(collection, is_drawn=is_drawn)),
        not_known=tuple(_not_known(collection, origins)),
        mark=f"{number_of(collection.seed):08x}" if any(one.watermark for one in made) else None,
    )


def _made(run: Run, origin: Origin, last: int) -> Made:
    is_drawn = run.renderer != NOTHING
    return Made(
        first=run.start,
        last=min(run.start + run.count - 1, last),
        model=run.model,
        renderer=run.renderer,
        weights_sha256=run.weights_sha256 if is_drawn else None,
        encoder=run.encoder,
        size=run.size if is_drawn else None,
        source_type=SOURCE_TYPES + origin.made if origin.made else None,
        written=origin.written,
        learned=origin.learned,
        data=origin.data,
        watermark=is_marked(run.renderer),
    )


def _how_to_verify(collection: Collection, *, is_drawn: bool) -> list[str]:
    if collection.contract is None:
        return []
    again = " --regenerate" if is_drawn else ""
    return [
        f"pipeline verify --contract {collection.contract} --rpc-url NODE --gateway GATEWAY{again}",
        "pipeline detect PICTURE",
    ]


def _not_known(collection: Collection, origins: Iterable[Origin]) -> list[str]:
    told = []
    if not collection.artist:
        told.append("Whose work it is: nobody said.")
    if not collection.licence:
        told.append("Under which licence it may be used: nobody said.")
    return told + list(dict.fromkeys(origin.unknown for origin in origins if origin.unknown))
