"""What the reading routes answer. Plain values only, so that the OpenAPI document says all there is to say.

Token ids, seeds and block numbers are JSON numbers below 2^53; wei are decimal text; hashes are hex behind 0x; CIDs are
text. Everything that a stranger can have written (names, descriptions, traits) is text and never markup.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from pipeline.base.limits import MAX_EXACT
from pipeline.base.records import TokenState

Hex = Annotated[str, Field(pattern="^0x[0-9a-f]+$")]
AddressText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
Wei = Annotated[str, Field(pattern="^[0-9]+$")]
TokenId = Annotated[int, Field(ge=1, le=MAX_EXACT)]
Count = Annotated[int, Field(ge=0)]
Value = str | int | float


class Document(BaseModel):
    """Base of all answers."""

    model_config = {"extra": "forbid", "frozen": True}


class ChainInfo(Document):
    """Where a collection lives, and what a wallet needs to go there."""

    chain_id: int | None = Field(description="null: its pictures are drawn, and nobody has chosen a chain yet")
    name: str
    worth: Literal["devnet", "testnet", "mainnet", "unknown"] = Field(
        description="what its money is worth; unknown: a chain that has no name here"
    )
    kind: Literal["anvil", "ganache", "external"]
    rpc_url: str | None = Field(description="for `wallet_addEthereumChain`; given only where it can hold no secret")
    explorer: str | None


class Progress(Document):
    """How far a collection is. Each count includes the later ones: what is minted was pinned, drawn and planned."""

    planned: Count
    drawn: Count
    pinned: Count
    minted: Count
    final: Count
    running: bool = Field(description="a run is unfinished; it may have been interrupted")
    state: Literal["unfinished", "minted", "final"]


class Work(Document):
    """A token to be seen beside its collection's name."""

    token_id: TokenId
    thumbnail: str


class CollectionSummary(Document):
    id: int
    slug: str = Field(description="the word that addresses name it by: its page is /slug, a token's /slug/7")
    name: str
    symbol: str
    description: str
    artist: str = Field(description="whose work it is; empty: not said")
    statement: str = Field(description="the artist's own words; empty: none")
    licence: str = Field(description="an SPDX expression, or the address of the terms; empty: not said")
    external_url: str | None = Field(description="http or https; anything else is left out")
    cover: str | None = Field(description="path of the cover image on this server")
    works: list[Work] = Field(description="a few of its tokens")
    contract: AddressText | None
    chain: ChainInfo
    progress: Progress


class CollectionDetail(CollectionSummary):
    owner: AddressText = Field(description="of the contract")
    owners: Count = Field(description="addresses that own a token")
    seed: int | None = Field(description="null in a public show: it would draw the tokens that are not minted yet")
    royalty_bps: int
    royalty_receiver: AddressText
    max_supply: int = Field(description="0: no maximum")
    deploy_tx: Hex | None
    began: float | None = Field(description="when its first minting transaction was signed, in seconds since 1970")
    fee_wei: Wei | None = Field(description="what minting its tokens cost in fees; null: not known here")
    contract_page: str | None = Field(description="on the chain's block explorer")
    contract_uri: str | None
    cover_root: str | None = Field(description="CID of the directory that holds the cover")
    gateway: str | None = Field(description="base of a gateway that has the content, ending in /ipfs/")
    indexed_block: int | None = Field(description="Transfer events were read up to this block")
    size: int | None = Field(description="width and height of the newest artworks in pixels; None: there are none yet")


class TraitValue(Document):
    trait_type: str
    value: Value
    display_type: str | None = None
    max_value: int | float | None = None
    share: float = Field(description="of the drawn tokens that have it, 0 to 1", ge=0, le=1)


class TokenSummary(Document):
    token_id: TokenId
    name: str
    state: TokenState
    owner: AddressText | None = Field(description="by the Transfer events that were read; None: not minted")
    rank: int | None = Field(description="by rarity, 1 is the rarest; None: not drawn")
    image: str | None = Field(description="path of the image on this server")
    thumbnail: str | None


class TokenPage(Document):
    """Some tokens of a query, and where the next ones begin."""

    total: Count
    tokens: list[TokenSummary]
    next: str | None = Field(description="cursor of the next page; None: this is the last")


class TokenIndex(Document):
    """All tokens of a query in order, in columns of one length: enough to lay out a grid of thousands."""

    total: Count
    token_ids: list[TokenId]
    ranks: list[Count] = Field(description="0: not drawn")
    versions: list[str] = Field(
        description="of the images, for addresses that may be cached for ever; empty: not drawn"
    )
    names: list[str] = Field(
        description="tokens' own names, empty where one has none; an empty list where no token of the collection has one"
    )


class ValueCount(Document):
    value: Value
    count: Count = Field(description="tokens with it that the other conditions leave")
    total: Count = Field(description="tokens with it in the collection")


class Facet(Document):
    trait_type: str
    values: list[ValueCount]


class Facets(Document):
    total: Count = Field(description="tokens that the query leaves")
    traits: list[Facet]


class TransferEvent(Document):
    """A token changing hands; minting is a transfer from the zero address."""

    sender: AddressText
    recipient: AddressText
    block_number: int
    time: float | None = Field(description="when it was signed, in seconds since 1970; null: by somebody else")
    transaction: Hex
    transaction_page: str | None


class Minting(Document):
    """The transaction that minted a token, with its neighbours."""

    time: float = Field(description="when it was signed, in seconds since 1970")
    quantity: Count = Field(description="tokens that it minted")
    fee_wei: Wei


class Animation(Document):
    """What a token has beside its image: a file of ours, or an address elsewhere."""

    kind: Literal["video", "audio", "page", "model", "picture", "elsewhere"]
    uri: str | None = Field(description="as the metadata names it; None: its batch is not pinned yet")
    path: str | None = Field(description="of the file on this server; None: it is elsewhere")
    web_page: str | None = Field(description="where a browser finds it: at the gateway, or on the web")


class ProvenanceInfo(Document):
    """What it takes to draw the image again."""

    seed: int | None = Field(description="null where the image existed before it was minted")
    model: str
    weights_sha256: str
    renderer: str
    encoder: str
    size: int


class TokenDetail(TokenSummary):
    score: float | None = Field(description="OpenRarity's information content, 1 is the average")
    ranked: Count = Field(description="tokens among which it has its rank")
    traits: list[TraitValue]
    recipient: AddressText
    history: list[TransferEvent]
    token_uri: str | None
    image_uri: str | None
    image_sha256: str | None
    image_page: str | None = Field(description="the image at the gateway")
    metadata_page: str | None = Field(description="the metadata at the gateway")
    transaction: Hex | None
    block_number: int | None
    minting: Minting | None = Field(description="null: not minted, or minted from elsewhere")
    widths: list[int] = Field(description="of its image as `/media/…/{width}.webp`, the smallest first")
    token_page: str | None = Field(description="on the chain's block explorer")
    pinned_at: list[str]
    animation: Animation | None
    external_url: str | None = Field(description="http or https, as its own JSON gave it")
    youtube_url: str | None
    background_color: str | None = Field(description="6 hex digits")
    provenance: ProvenanceInfo
    previous: TokenId | None
    following: TokenId | None


class OwnerCount(Document):
    owner: AddressText
    tokens: Count


class Held(Document):
    """What an owner has of a collection."""

    collection: CollectionSummary
    tokens: TokenIndex
    size: int | None = Field(description="width and height of its newest artworks in pixels")
    page: str | None = Field(description="the owner, on the chain's block explorer")


class Holdings(Document):
    owner: AddressText
    total: Count
    collections: list[Held]


class OwnerPage(Document):
    total: Count
    owners: list[OwnerCount]
    next: str | None


class Batch(Document):
    start: TokenId
    quantity: int
    state: TokenState
    images_root: str | None
    metadata_root: str | None
    transaction: Hex | None
    block_number: int | None


class BatchPage(Document):
    batches: list[Batch]
    next: str | None


class Transaction(Document):
    purpose: Literal["deploy", "mint", "transfer"]
    hash: Hex
    page: str | None = Field(description="on the chain's block explorer")
    sender: AddressText
    nonce: int
    state: Literal["live", "mined", "final", "lost", "reverted"]
    start: int | None = Field(description="first token id that it mints, or the one that it transfers")
    quantity: int | None
    recipient: AddressText | None
    block_number: int | None
    gas_used: int | None
    spent_wei: Wei | None


class TransactionPage(Document):
    transactions: list[Transaction]
    next: str | None


class VerificationStep(Document):
    name: str
    ok: bool | None = Field(
        description="None: there is nothing that could be checked, or nobody who could tell answered"
    )
    not_checked: bool = Field(description="something of it: whoever could tell gave no answer, which disproves nothing")
    detail: str


class Verification(Document):
    ok: bool
    verdict: Literal["holds", "false", "not checked", "nothing to prove yet"]
    token_id: TokenId
    steps: list[VerificationStep]


class Problem(Document):
    """An error: what is wrong, and what to do next."""

    error: str
    hint: str
