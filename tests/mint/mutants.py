"""Senders with one safeguard taken out, and one with both. The tests must find each of them, or they prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pipeline.base.crash import crash_point
from pipeline.ledger.journal import Slot
from pipeline.mint import lane, sender
from pipeline.mint.collection import mint_call
from pipeline.mint.lane import Lane
from pipeline.mint.sender import Sender
from pipeline.mint.signer import signed
from pipeline.mint.watcher import Watcher


class SendsBeforeWriting(Sender):
    """Hands the bytes to the node first, and writes them down when that went well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lane.__class__ = _SendsEarly


class _SendsEarly(Lane):
    def sign(self, *arguments: Any, **options: Any) -> Slot:
        def send_early(signer: Any, tx: Any) -> tuple[bytes, bytes]:
            raw, tx_hash = signed(signer, tx)
            self._chain.send(raw)
            crash_point("sent_not_recorded")
            return raw, tx_hash

        with mock.patch.object(lane, "signed", send_early):
            return super().sign(*arguments, **options)


class TakesStartFromChain(Sender):
    """Mints at whatever token id comes next, so that the contract has nothing to compare with the plan."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watcher.__class__ = _TakesAnyTokens

    def _mint_next(self) -> bool:
        unit = self._queue[0]
        contract = self.watcher.contract(self.ledger.batches.get(unit.batch.plan.id).collection)
        with _start_from(contract.next_token_id()):
            return super()._mint_next()


class HasNoSafeguard(TakesStartFromChain, SendsBeforeWriting):
    """Neither writes first nor lets the contract compare."""


class _TakesAnyTokens(Watcher):
    """Does not ask the contract which tokens it has: without a start in the plan there is nothing to look for."""

    def present(self, contract: Any, tokens: range, digest: bytes) -> range:
        return range(tokens.start, tokens.start)

    def _did_it(self, *_: Any) -> bool:
        return True


@contextmanager
def _start_from(start: int) -> Iterator[None]:
    with mock.patch.object(sender, "mint_call", lambda _, recipients, digest: mint_call(start, recipients, digest)):
        yield
