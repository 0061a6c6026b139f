"""Everything about one token, from the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.after.rarity import rarity
from pipeline.after.report import chain_name, reading, when
from pipeline.base.errors import BadArgument
from pipeline.base.records import hex_data
from pipeline.base.results import Trait
from pipeline.base.workspace import Workspace
from pipeline.ledger import UNDECIDED, Ledger
from pipeline.ledger.rows import Token
from pipeline.mint.networks import network_of

RANKED_MOST = 20_000  # tokens: to rank more takes longer than anybody waits for one token; `pipeline rarity` does


@dataclass(frozen=True, slots=True)
class TokenReport:
    """Everything about one token."""

    collection: str
    contract: str | None
    chain_id: int | None
    token_id: int
    owner: str | None  # None: drawn, and nobody has minted it yet
    token_uri: str | None
    image: str | None
    seed: int | None  # None: its image existed before
    tx: str | None
    state: str
    explorer: str | None
    block_number: int | None
    attempt: int
    determinism: str | None
    phash: str | None
    image_sha256: str | None
    file: str | None
    pinned_at: tuple[str, ...]  # places that proved that they keep it
    attributes: tuple[Trait, ...]
    name: str
    description: str
    artist: str
    licence: str
    chain: str  # its name; empty: it has none here
    rank: int | None  # by rarity among the drawn; None: not drawn, or too many to rank here
    ranked: int  # tokens among which it has its rank
    minted: str | None  # when its transaction was signed, UTC; None: not minted, or by somebody else
    tx_fee_wei: int | None  # paid for the transaction that minted it
    tx_gas_used: int | None
    tx_tokens: int | None  # that the transaction minted


def token_report(workspace: Workspace, name: str | None, token_id: int) -> TokenReport:
    """Everything about one token. Raises BadArgument when the collection has no such token."""
    with reading(workspace, name) as (ledger, collection):
        token = next(ledger.tokens.of(collection.id, token_id, 1), None)
        if token is None:
            total = sum(ledger.tokens.counts(collection.id).values())
            raise BadArgument(name="token id", value=token_id, expected=f"1 to {total} in {collection.name!r}")
        network = network_of(collection.chain_id)
        rank, ranked = _rank(ledger, collection.id, token)
        paid = next((one for one in ledger.journal.paid_for(collection.id) if one.tx_hash == token.tx_hash), None)
        return TokenReport(
            collection=collection.name,
            contract=collection.contract,
            chain_id=collection.known_chain_id,
            token_id=token_id,
            owner=ledger.owners.owner_of(collection.id, token_id)
            or (None if token.recipient == UNDECIDED else token.recipient),
            token_uri=token.token_uri,
            image=token.image,
            seed=token.seed,
            tx=hex_data(token.tx_hash) if token.tx_hash else None,
            state=token.state,
            explorer=network.token_page(collection.contract, token_id) if network and collection.contract else None,
            block_number=token.block_number,
            attempt=token.attempt,
            determinism=token.determinism,
            phash=f"{token.phash:016x}" if token.phash is not None else None,
            image_sha256=token.image_sha256.hex() if token.image_sha256 else None,
            file=str(workspace.image(collection.id, token_id, token.suffix)) if token.image_sha256 else None,
            pinned_at=tuple(ledger.pins.proved_at(token.metadata_root)) if token.metadata_root else (),
            attributes=tuple(Trait(attribute.trait_type, attribute.value) for attribute in token.attributes),
            name=token.words.name or f"{collection.name} #{token_id}",
            description=token.words.description or collection.description,
            artist=collection.artist,
            licence=collection.licence,
            chain=chain_name(collection),
            rank=rank,
            ranked=ranked,
            minted=when(paid.signed) if paid else None,
            tx_fee_wei=paid.wei if paid else None,
            tx_gas_used=paid.gas_used if paid else None,
            tx_tokens=paid.tokens if paid else None,
        )


def _rank(ledger: Ledger, collection: int, token: Token) -> tuple[int | None, int]:
    """A token's rank by rarity, and the number of tokens that were ranked."""
    drawn = sum(number for state, number in ledger.tokens.counts(collection).items() if state != "planned")
    if token.state == "planned" or drawn > RANKED_MOST:
        return None, drawn
    traits = {one.token_id: one.attributes for one in ledger.tokens.of(collection) if one.state != "planned"}
    if not any(traits.values()):
        return None, drawn  # of pictures without traits none is rarer
    return next(one.rank for one in rarity(traits) if one.token_id == token.token_id), drawn
