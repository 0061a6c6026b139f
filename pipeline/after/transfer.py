"""A token from one owner to another, exactly once: the same journal and the same settling as a mint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.after.report import collection_named
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer
from pipeline.base.records import Address, hex_data
from pipeline.base.results import JSON_NAME
from pipeline.base.workspace import Workspace
from pipeline.flow.committed import must_hold_content_of
from pipeline.flow.connection import chain_url, reach, signer_for
from pipeline.flow.consent import NOBODY, Person, Question, confirmations, spending_limits
from pipeline.ledger import Collection, Ledger
from pipeline.mint.collection import parsed_address
from pipeline.mint.fees import ether, least_fee_wei
from pipeline.mint.indexer import sync
from pipeline.mint.sender import Sender
from pipeline.pin.store import CarStore
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Transferred:
    """A token that has a new owner; `sent` is False when they had it before this call."""

    collection: str
    contract: str | None
    chain_id: int
    token_id: int
    previous: str = field(metadata={JSON_NAME: "from"})
    owner: str
    tx: str
    block_number: int
    sent: bool


def transfer(
    workspace: Workspace,
    config: Settings,
    name: str | None,
    token_id: int,
    recipient: str,
    observer: Observer,
    person: Person = NOBODY,
) -> Transferred:
    """Give a token of the signing account to `recipient`, and return who had it and who has it.

    Give the same call again after any interruption: it finds what was sent. `sent` is False when the recipient had the
    token before this call. Before real money is spent `person` is told what it costs, and asked. Raises BadArgument,
    NotConfirmed, NotOwner, BadRecipient, or what `Sender.settle` raises.
    """
    to = parsed_address(recipient, "--to")
    collection = collection_named(workspace, name)
    if collection.contract is None:
        raise BadArgument(name="token id", value=token_id, expected="a minted token; nothing is minted here yet")
    with _sender(workspace, config, collection, observer, person) as (sender, question):
        if question is not None:
            _ask(question, sender, collection, token_id, to, observer)
        sent = sender.transfer(collection.id, token_id, to)
        sync(sender.ledger, sender.chain, collection.id)
        last = sender.ledger.owners.history(collection.id, token_id)[-1]
        return Transferred(
            collection=collection.name,
            contract=collection.contract,
            chain_id=collection.chain_id,
            token_id=token_id,
            previous=last.sender,
            owner=last.recipient,
            tx=hex_data(last.tx_hash),
            block_number=last.block_number,
            sent=sent,
        )


def _ask(
    question: Question, sender: Sender, collection: Collection, token_id: int, to: Address, observer: Observer
) -> None:
    """Tell what a transfer costs, and ask whether it may; nothing where it would be refused, or is done already."""
    (owner,) = sender.watcher.contract(collection.id).owners_of([token_id])
    if owner != sender.address or owner == to:
        return
    chain = sender.chain
    cost = sender.transfer_gas(collection.id, token_id, to) * least_fee_wei(chain.fees())
    observer.notice(
        f"token {token_id} of {collection.name!r} to {to}\n"
        f"  bill      {ether(cost)} ETH at today's fees\n"
        f"{question.money(sender.address, chain.balance(sender.address))}"
    )
    question.put()


@contextmanager
def _sender(
    workspace: Workspace,
    config: Settings,
    collection: Collection,
    observer: Observer,
    person: Person,
) -> Iterator[tuple[Sender, Question | None]]:
    """A sender for the collection's chain, brought up to date, while the workspace is ours alone; and what has to be asked
    before it sends."""
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        with chain_url(config, workspace, collection.chain_kind) as url:
            chain = reach(url)
            chain.check_identity(collection.chain_id, collection.genesis_hash)
            signer, question = signer_for(chain, config, collection.name, person)
            depth = confirmations(config, chain.chain_id, is_rehearsal=chain.is_rehearsal)
            check = must_hold_content_of(ledger, CarStore(workspace.cars))
            sender = Sender(ledger, chain, signer, spending_limits(config), None, depth, before_signing=check)
            for line in sender.recover(collection.id):
                observer.notice(line)
            yield sender, question
