"""The way to a collection's chain: the embedded one, running while it is needed, or one of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.base.errors import BadArgument, WorkspaceLocked, WorkspaceUnwritable
from pipeline.base.web import STARTING_S
from pipeline.base.workspace import Workspace
from pipeline.flow.consent import Person, Question, check_network, question_of
from pipeline.ledger import Collection, Ledger
from pipeline.mint.chain import connect
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import Limits
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer, remote_signer
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mint.chain import Chain
    from pipeline.mint.devnet import Kind
    from pipeline.mint.signer import Signer

FIRST_PATIENCE_S = STARTING_S  # a mistyped address should be told soon, a busy provider's first hiccup not


@contextmanager
def chain_url(config: Settings, workspace: Workspace, kind: str) -> Iterator[str]:
    """Give the RPC URL of a chain: `external` is the configured one, another kind an embedded chain of that program."""
    if kind != "external":
        with devnet(workspace.chain / kind, cast("Kind", kind)) as url:
            yield url
    elif config.chain.rpc_url:
        yield config.chain.rpc_url
    else:
        raise BadArgument(name="--rpc-url", value="", expected="the address of the chain that this collection lives on")


def kind_here(workspace: Workspace, config: Settings) -> str:
    """The kind of chain to look at where no ledger names one: `external` when there is an RPC URL, else an embedded one.

    Raises BadArgument where the workspace has no such chain.
    """
    if config.chain.rpc_url:
        return "external"
    kind = str(config.chain.chain)
    if not (workspace.chain / kind).exists():
        raise BadArgument(name="--rpc-url", value="", expected=f"a chain: {workspace.folder} has no {kind} of its own")
    return kind


def reach(url: str) -> Chain:
    """The chain behind a URL, found within seconds or not at all; once found, a passing fault is waited out."""
    connect(url, patience_s=FIRST_PATIENCE_S)
    return connect(url)


def signer_for(chain: Chain, config: Settings, collection: str, person: Person) -> tuple[Signer, Question | None]:
    """The account that the configuration names (a keystore, an external signer, the environment's key, or the node's),
    and the question that has to be put, once the facts were told, before it signs anything: no verb gets one without
    the other.

    Raises KeyRefused, and before any key is opened WrongNetwork when the chain is not the one that was named, and what
    `question_of` raises.
    """
    check_network(config, chain.chain_id, chain.rpc.shown)
    question = question_of(config, chain.chain_id, collection, person)
    signer = open_signer(
        chain,
        Path(config.chain.keystore) if config.chain.keystore else None,
        remote=remote_signer(config.chain.signer_url, config.chain.signer_address),
        ask_password=person.ask_password,
    )
    return signer, question


@contextmanager
def open_chain(config: Settings, workspace: Workspace, collection: Collection) -> Iterator[Chain]:
    """Give the chain that a collection lives on, for reading.

    An embedded chain that lost its last blocks to a power failure is sent the ledger's signed bytes again first.
    Raises WrongChain when the RPC URL leads elsewhere.
    """
    if not collection.is_placed:
        raise BadArgument(
            name="--name",
            value=collection.name,
            expected="a collection that is on a chain; the pictures of this one are drawn, and it was not minted yet",
            hint="`pipeline status` tells the command that mints it",
        )
    with chain_url(config, workspace, collection.chain_kind) as url:
        chain = reach(url)
        chain.check_identity(collection.chain_id, collection.genesis_hash)
        if collection.chain_kind != "external":
            _bring_up_to_date(chain, workspace, collection)
        yield chain


def _bring_up_to_date(chain: Chain, workspace: Workspace, collection: Collection) -> None:
    try:
        with workspace.lock(), Ledger(workspace.ledger) as ledger:
            sender = Sender(ledger, chain, open_signer(chain, environment={}), Limits(), run_id=None)
            sender.recover(collection.id)
            while not sender.is_idle:
                if not sender.settle():
                    sender.pause()
    except (WorkspaceLocked, WorkspaceUnwritable):
        pass  # a run that holds the workspace does this itself, and a folder nobody may write is only read
