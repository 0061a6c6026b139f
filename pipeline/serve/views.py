"""From the ledger's rows to the documents that the service answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.cid import IpfsUri
from pipeline.base.errors import NoSuch
from pipeline.base.media import MOVING
from pipeline.base.records import hex_data
from pipeline.ledger import Collection, Ledger, Run, Token
from pipeline.ledger.catalogue import Catalogue
from pipeline.ledger.owners import Transfer
from pipeline.mint.networks import Network, network_of
from pipeline.serve import documents as doc
from pipeline.serve.gallery.addresses import (
    COVER_WIDTH,
    GRID_WIDTH,
    REDRAWN,
    WIDTHS,
    animation_path,
    cover_thumbnail,
    image_path,
    thumbnail_path,
)
from pipeline.serve.gallery.redrawn import scales
from pipeline.serve.index import VERSION_DIGITS, Index

SHOWN_WORKS = 6  # of a collection, beside its name
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def collection_summary(
    ledger: Ledger, collection: Collection, slug: str, *, public: bool = False
) -> doc.CollectionSummary:
    """A collection in a list; `slug` is the word that addresses name it by."""
    return doc.CollectionSummary(**_summary(ledger, collection, slug, public))


def collection_detail(
    ledger: Ledger, collection: Collection, slug: str, gateway: str | None, *, public: bool = False
) -> doc.CollectionDetail:
    """Everything about a collection; for the `public` without what would draw its next tokens."""
    catalogue, network = ledger.catalogue, network_of(collection.chain_id)
    info, paid = collection.info_root, catalogue.paid(collection.id)
    return doc.CollectionDetail(
        **_summary(ledger, collection, slug, public),
        owner=collection.owner,
        owners=catalogue.owner_counts(collection.id),
        seed=None if public else collection.seed,
        royalty_bps=collection.royalty_bps,
        royalty_receiver=collection.royalty_receiver,
        max_supply=collection.max_supply,
        deploy_tx=_hex(collection.tx_hash),
        began=min((one.signed for one in paid), default=None),
        fee_wei=str(sum(one.fee_wei for one in paid)) if paid else None,
        contract_page=network.contract_page(collection.contract) if network and collection.contract else None,
        contract_uri=str(IpfsUri(info, "collection.json")) if info else None,
        cover_root=catalogue.cover_root(collection.id),
        gateway=gateway,
        indexed_block=catalogue.indexed_block(collection.id),
        size=next((run.size for run in ledger.runs.of(collection.id)), None),
    )


def _summary(ledger: Ledger, collection: Collection, slug: str, public: bool) -> dict[str, Any]:
    catalogue = ledger.catalogue
    cover = catalogue.cover_root(collection.id)
    return {
        "id": collection.id,
        "slug": slug,
        "name": collection.name,
        "symbol": collection.symbol,
        "description": collection.description,
        "artist": collection.artist,
        "statement": collection.statement,
        "licence": collection.licence,
        "external_url": web_url(collection.external_url),
        "cover": cover_thumbnail(collection.id, cover, COVER_WIDTH) if cover else None,
        "works": _works(ledger, collection.id, public),
        "contract": collection.contract,
        "chain": _chain(ledger, collection, public),
        "progress": progress(catalogue, collection.id),
    }


def _works(ledger: Ledger, collection_id: int, public: bool) -> list[doc.Work]:
    """A few tokens that are spread over the collection; of what the `public` may see."""
    counts = progress(ledger.catalogue, collection_id)
    there = counts.minted if public else counts.drawn
    shown = dict.fromkeys(1 + place * there // SHOWN_WORKS for place in range(SHOWN_WORKS)) if there else {}
    found = []
    for token_id in shown:
        image = ledger.catalogue.image(collection_id, token_id)
        if image and (not public or ledger.catalogue.has_minted(collection_id, token_id)):
            version = image[0].hex()[:VERSION_DIGITS]
            path = thumbnail_path(collection_id, token_id, version, GRID_WIDTH)
            found.append(doc.Work(token_id=token_id, thumbnail=path))
    return found


def owner_page(collection: Collection, owner: str) -> str | None:
    """Where an owner is looked up."""
    network = network_of(collection.chain_id)
    return network.contract_page(owner) if network else None


def _chain(ledger: Ledger, collection: Collection, public: bool) -> doc.ChainInfo:
    network = network_of(collection.chain_id)
    return doc.ChainInfo.model_validate(
        {
            "chain_id": collection.known_chain_id,
            "name": network.name
            if network
            else f"chain {collection.chain_id}"
            if collection.is_placed
            else "no chain yet",
            "worth": network.worth if network else "unknown",
            "kind": collection.chain_kind,
            "rpc_url": None
            if public  # it would lead a stranger to his own machine
            else next((_wallet_url(run.rpc_url) for run in ledger.runs.of(collection.id)), None),
            "explorer": (network.explorer or None) if network else None,
        }
    )


def _wallet_url(rpc_url: str) -> str | None:
    """The ledger's RPC URL where it leads to this machine. Any other may have lost a key that it needs to work."""
    return rpc_url if urlsplit(rpc_url).hostname in LOOPBACK else None


def progress(catalogue: Catalogue, collection_id: int) -> doc.Progress:
    counts = catalogue.counts(collection_id)
    reached = {state: sum(list(counts.values())[place:]) for place, state in enumerate(counts)}
    planned, minted, final = reached["planned"], reached["mined"], reached["final"]
    return doc.Progress(
        planned=planned,
        drawn=reached["generated"],
        pinned=reached["sealed"],
        minted=minted,
        final=final,
        running=catalogue.is_running(collection_id),
        state="final" if final == planned else "minted" if minted == planned else "unfinished",
    )


def token_summary(ledger: Ledger, collection: Collection, index: Index, position: int) -> doc.TokenSummary:
    token = next(ledger.tokens.of(collection.id, index.ids[position], 1))
    return doc.TokenSummary(**_token(collection, token, index, position))


def token_detail(
    ledger: Ledger, collection: Collection, token_id: int, index: Index, gateway: str | None, *, public: bool = False
) -> doc.TokenDetail:
    """Everything about a token; for the `public` without what would draw others. Raises NoSuch for an unknown one."""
    position = index.position(token_id)
    token = next(ledger.tokens.of(collection.id, token_id, 1), None)
    if position is None or token is None:
        raise NoSuch(what=f"token {token_id} in {collection.name!r}", hint=f"it has {len(index)} tokens")
    catalogue, network = ledger.catalogue, network_of(collection.chain_id)
    run = catalogue.run_of(collection.id, token_id)
    assert run is not None, "a token belongs to a batch, and a batch to a run"
    signed = ledger.catalogue.signed(collection.id, token_id)
    on_chain = network is not None and collection.contract is not None and token.state in ("mined", "final")
    return doc.TokenDetail(
        **_token(collection, token, index, position),
        score=index.scores[position] if index.ranks[position] else None,
        ranked=index.drawn,
        traits=[
            doc.TraitValue(
                trait_type=attribute.trait_type,
                value=attribute.value,
                display_type=attribute.display_type,
                max_value=attribute.max_value,
                share=index.share(attribute.trait_type, attribute.value),
            )
            for attribute in token.attributes
        ],
        recipient=token.recipient,
        history=[_transfer(event, network, signed) for event in ledger.owners.history(collection.id, token_id)],
        token_uri=token.token_uri,
        image_uri=token.image,
        image_sha256=token.image_sha256.hex() if token.image_sha256 else None,
        image_page=_at(gateway, token.image),
        metadata_page=_at(gateway, token.token_uri),
        transaction=_hex(token.tx_hash),
        block_number=token.block_number,
        minting=_minting(ledger, collection, token_id),
        widths=_widths(run, token),
        token_page=network.token_page(str(collection.contract), token_id) if on_chain and network else None,
        pinned_at=list(ledger.pins.proved_at(token.metadata_root)) if token.metadata_root else [],
        animation=_animation(collection, token, gateway),
        external_url=web_url(token.words.external_url),
        youtube_url=web_url(token.words.youtube_url),
        background_color=token.words.background_color or None,
        provenance=doc.ProvenanceInfo(
            seed=token.seed,
            model=run.model,
            weights_sha256=run.weights_sha256,
            renderer=run.renderer,
            encoder=run.encoder,
            size=run.size,
        ),
        previous=index.ids[position - 1] if position else None,
        following=index.ids[position + 1] if position + 1 < len(index) else None,
    )


def _token(collection: Collection, token: Token, index: Index, position: int) -> dict[str, Any]:
    version = index.versions[position]
    place = (collection.id, token.token_id, version)
    return {
        "token_id": token.token_id,
        "name": token.words.name or f"{collection.name} #{token.token_id}",
        "state": token.state,
        "owner": index.owners[position],
        "rank": index.ranks[position] or None,
        "image": image_path(*place) if version else None,
        "thumbnail": thumbnail_path(*place, GRID_WIDTH) if version else None,
    }


def _animation(collection: Collection, token: Token, gateway: str | None) -> doc.Animation | None:
    moving, url = token.animation, token.words.animation_url
    if moving is None:
        return doc.Animation(kind="elsewhere", uri=url, path=None, web_page=web_url(url)) if url else None
    uri, path = token.animation_uri, None
    if token.state != "planned":
        path = animation_path(collection.id, token.token_id, moving.sha256.hex()[:VERSION_DIGITS])
    return doc.Animation(kind=MOVING[moving.suffix], uri=uri, path=path, web_page=_at(gateway, uri))


def _minting(ledger: Ledger, collection: Collection, token_id: int) -> doc.Minting | None:
    paid = next(iter(ledger.catalogue.paid(collection.id, token_id)), None)
    return doc.Minting(time=paid.signed, quantity=paid.quantity, fee_wei=str(paid.fee_wei)) if paid else None


def _widths(run: Run, token: Token) -> list[int]:
    """Sizes of a token's picture that are worth asking for: smaller than its image, or drawn again larger."""
    if token.state == "planned":
        return []
    smaller = [width for width in WIDTHS if width < run.size or run.size == 0]
    return smaller + ([width for width in REDRAWN if width > run.size] if scales(run) else [])


def _transfer(event: Transfer, network: Network | None, signed: Mapping[bytes, float]) -> doc.TransferEvent:
    return doc.TransferEvent(
        sender=event.sender,
        recipient=event.recipient,
        block_number=event.block_number,
        time=signed.get(event.tx_hash),
        transaction=hex_data(event.tx_hash),
        transaction_page=_transaction_page(network, event.tx_hash),
    )


def batch_page(
    ledger: Ledger, collection: Collection, after: int, limit: int, *, public: bool = False
) -> doc.BatchPage:
    rows = ledger.catalogue.batches(collection.id, after, limit + 1, minted_only=public)
    return doc.BatchPage(
        batches=[
            doc.Batch.model_validate(
                {
                    "start": row.start,
                    "quantity": row.quantity,
                    "state": row.state,
                    "images_root": row.images_root,
                    "metadata_root": row.metadata_root,
                    "transaction": _hex(row.tx_hash),
                    "block_number": row.block_number,
                }
            )
            for row in rows[:limit]
        ],
        next=str(rows[limit - 1].start) if len(rows) > limit else None,
    )


def transaction_page(
    ledger: Ledger, collection: Collection, after: int, limit: int, *, public: bool = False
) -> doc.TransactionPage:
    network = network_of(collection.chain_id)
    rows = ledger.catalogue.transactions(collection.id, after, limit + 1, mined_only=public)
    return doc.TransactionPage(
        transactions=[
            doc.Transaction.model_validate(
                {
                    "purpose": row.purpose,
                    "hash": _hex(row.hash),
                    "page": _transaction_page(network, row.hash),
                    "sender": row.sender,
                    "nonce": row.nonce,
                    "state": row.state,
                    "start": row.start,
                    "quantity": row.quantity,
                    "recipient": row.recipient,
                    "block_number": row.block_number,
                    "gas_used": row.gas_used,
                    "spent_wei": str(row.spent_wei) if row.spent_wei is not None else None,
                }
            )
            for row in rows[:limit]
        ],
        next=str(rows[limit - 1].id) if len(rows) > limit else None,
    )


def web_url(url: str) -> str | None:
    """A URL that may become a link: http or https, whatever a stranger wrote."""
    return url if urlsplit(url).scheme in ("http", "https") else None


def _transaction_page(network: Network | None, tx_hash: bytes) -> str | None:
    return f"{network.explorer}/tx/0x{tx_hash.hex()}" if network and network.explorer else None


def _at(gateway: str | None, uri: str | None) -> str | None:
    return gateway + uri.removeprefix("ipfs://") if gateway and uri else None


def _hex(value: bytes | None) -> str | None:
    return hex_data(value) if value else None
