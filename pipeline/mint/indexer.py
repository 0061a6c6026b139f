"""Reads a collection's Transfer events into the ledger: many block ranges in one JSON batch, reorgs undone first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.base.errors import RpcError, RpcUnavailable
from pipeline.base.records import Address, hex_data
from pipeline.ledger import Ledger
from pipeline.ledger.owners import Owners, Transfer
from pipeline.mint.chain import Block, Chain, Log, accepted, checksummed, log_filter
from pipeline.mint.collection import TRANSFER

RANGE = 2_000  # blocks asked for at once: what the strictest of the usual providers allows
RANGES = 20  # in one JSON batch
CALM_LOOKS = 10  # times that the chain may change under our eyes before we give up


def sync(ledger: Ledger, chain: Chain, collection_id: int) -> int:
    """Bring the ledger's transfers of a collection up to the newest block, and return that block's number.

    What was read from blocks that left the chain is forgotten first. Interrupted, it goes on where it stopped. On a
    node that is behind what was read before, nothing changes. Raises RpcUnavailable or RpcError.
    """
    known = ledger.collections.get(collection_id)
    head = chain.head()
    if known.contract is None or known.block_number is None:
        return head.number
    owners = ledger.owners
    newest = _undo_reorg(owners, chain, collection_id, head)
    first = known.block_number if newest is None else newest + 1
    _read(owners, chain, collection_id, known.contract, first, head.number)
    return max(head.number, newest or 0)


def _undo_reorg(owners: Owners, chain: Chain, collection_id: int, head: Block) -> int | None:
    """The newest block that was read and still is part of the chain; None when nothing was."""
    scanned = owners.scanned(collection_id)
    if not scanned:
        return None
    if head.number < scanned[0][0] and not chain.is_local:  # a slow node behind a load balancer
        return scanned[0][0]
    answers = chain.rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number, _ in scanned])
    for (number, block_hash), answer in zip(scanned, map(accepted, answers), strict=True):
        if answer is not None and chain.parsed_block(answer).hash == block_hash:
            if number < scanned[0][0]:
                owners.roll_back(collection_id, number)
            return number
    owners.roll_back(collection_id, -1)
    return None


def _read(owners: Owners, chain: Chain, collection_id: int, contract: Address, first: int, last: int) -> None:
    step, looks = RANGE, 0
    while first <= last:
        ends = [min(start + step - 1, last) for start in range(first, last + 1, step)][:RANGES]
        ranges = list(zip([first, *(end + 1 for end in ends)], ends, strict=False))
        before, logs, after = _look(chain, contract, ranges)
        read = 0
        for (_, end), block, found, again in zip(ranges, before, logs, after, strict=True):
            if block is None or block != again:
                break  # the chain changed between the three answers
            if isinstance(found, RpcError):
                break
            owners.record(collection_id, map(_transfer, found), end, block.hash)
            first, read = end + 1, read + 1
        if read == 0:
            refusal = next((found for found in logs if isinstance(found, RpcError)), None)
            looks += 1
            if refusal is not None and step == 1:
                raise refusal
            if refusal is not None:
                step = max(1, step // 4)  # too many blocks or too many events for this node
            elif looks > CALM_LOOKS:
                raise RpcUnavailable(rpc=chain.rpc.shown, method="eth_getLogs", reason="the chain keeps changing")


def _look(
    chain: Chain, contract: Address, ranges: Sequence[tuple[int, int]]
) -> tuple[list[Block | None], list[list[Log] | RpcError], list[Block | None]]:
    """For each range: its last block, its Transfer events, and its last block again."""
    blocks: list[tuple[str, list[Any]]] = [("eth_getBlockByNumber", [hex(end), False]) for _, end in ranges]
    events: list[tuple[str, list[Any]]] = [
        ("eth_getLogs", [log_filter(contract, start, end, [hex_data(TRANSFER)])]) for start, end in ranges
    ]
    answers = chain.rpc.batch([*blocks, *events, *blocks])
    count = len(ranges)

    def parsed(answer: Any) -> Block | None:
        return None if accepted(answer) is None else chain.parsed_block(answer)

    logs = [answer if isinstance(answer, RpcError) else chain.parsed_logs(answer) for answer in answers[count:-count]]
    return [parsed(answer) for answer in answers[:count]], logs, [parsed(answer) for answer in answers[-count:]]


def _transfer(log: Log) -> Transfer:
    _, sender, recipient, token_id = log.topics
    return Transfer(
        log.block_number,
        log.index,
        log.block_hash,
        log.tx_hash,
        int.from_bytes(token_id, "big"),
        checksummed(sender[12:]),
        checksummed(recipient[12:]),
    )
