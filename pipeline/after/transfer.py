"""A token from one owner to another, exactly once: the same journal and the same settling as a mint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.after.report import reading
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url, reach, signer_for
from pipeline.flow.consent import confirmations
from pipeline.flow.run import spending_limits
from pipeline.ledger import Collection, Ledger
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mint.sender import Sender


def transfer(
    workspace: Workspace,
    config: Settings,
    name: str | None,
    token_id: int,
    recipient: str,
    observer: Observer,
    ask_password: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """Give a token of the signing account to `recipient`, and return who had it and who has it, as plain values.

    Give the same call again after any interruption: it finds what was sent. `sent` is False when the recipient had the
    token before this call. Raises BadArgument, NotOwner, BadRecipient, or what `Sender.settle` raises.
    """
    from pipeline.mint.collection import parsed_address
    from pipeline.mint.indexer import sync

    to = parsed_address(recipient, "--to")
    with reading(workspace, name) as (_, collection):
        if collection.contract is None:
            raise BadArgument(name="token id", value=token_id, expected="a minted token; nothing is minted here yet")
    with _sender(workspace, config, collection, observer, ask_password) as sender:
        sent = sender.transfer(collection.id, token_id, to)
        sync(sender.ledger, sender.chain, collection.id)
        last = sender.ledger.owners.history(collection.id, token_id)[-1]
        return {
            "collection": collection.name,
            "contract": collection.contract,
            "chain_id": collection.chain_id,
            "token_id": token_id,
            "from": last.sender,
            "owner": last.recipient,
            "tx": "0x" + last.tx_hash.hex(),
            "block_number": last.block_number,
            "sent": sent,
        }


@contextmanager
def _sender(
    workspace: Workspace,
    config: Settings,
    collection: Collection,
    observer: Observer,
    ask_password: Callable[[str], str] | None,
) -> Iterator[Sender]:
    """A sender for the collection's chain, brought up to date, while the workspace is ours alone."""
    from pipeline.mint.sender import Sender

    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        with chain_url(config, workspace, collection.chain_kind) as url:
            chain = reach(url)
            chain.check_identity(collection.chain_id, collection.genesis_hash)
            signer = signer_for(chain, config, ask_password)
            depth = confirmations(config, chain.chain_id, is_rehearsal=chain.is_rehearsal)
            sender = Sender(ledger, chain, signer, spending_limits(config), None, depth)
            for line in sender.recover(collection.id):
                observer.notice(line)
            yield sender
