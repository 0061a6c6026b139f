"""Many tokens of a contract, from the chain alone: no ledger is asked, and no giver of content is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.after.report import collection_named
from pipeline.after.verify.content import content_from
from pipeline.after.verify.pixels import Redraw, redraw_with
from pipeline.after.verify.steps import Step, Tally, Verdict
from pipeline.after.verify.walk import Source, sample_of, verify_token
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url, kind_here, open_chain, reach
from pipeline.mint.collection import Collection, parsed_address
from pipeline.mint.compile import matches_source
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mint.collection import Collection as Contract

PAGE = 100  # tokens asked of the chain at once
MAX_TOLD = 10_000  # tokens of which every step is kept; beyond, only of those that failed

_UNITS = {
    "contract": "contract with the code of this version's source",
    "owner": "token(s) with an owner",
    "token URI": "token URI(s) fixed by a hash",
    "metadata": "document(s) with every block hashed, as the schema wants",
    "image": "image(s) with every block hashed",
    "digest": "image(s) with the sha256 that the metadata says",
    "credential": "signed credential(s) that name their token",
    "pixels": "image(s) drawn again",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a contract is verified, and by whom: all tokens, one, or a sample."""

    contract: str | None = None  # None: that of the workspace's ledger
    token: int | None = None
    sample: int | None = None
    gateway: str | None = None
    kubo: bool = False
    regenerate: bool = False


@dataclass(frozen=True, slots=True)
class TokenResult:
    token_id: int
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.HOLDS

    @property
    def verdict(self) -> Verdict:
        return Verdict.of(self.steps)


@dataclass(slots=True)
class ContractReport:
    """What was found of each token, and the sums over all of them."""

    contract: str
    chain_id: int
    block_number: int
    content: str  # who gave it
    total_supply: int | None  # None: the contract does not say
    tokens: int = 0  # verified
    failed: list[int] = field(default_factory=list)  # their token ids: something of them is false
    not_checked: list[int] = field(default_factory=list)  # nothing of them is false, and not all could be checked
    results: list[TokenResult] = field(default_factory=list)  # of more than MAX_TOLD tokens, those that do not hold
    sums: tuple[Step, ...] = ()

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.HOLDS

    @property
    def verdict(self) -> Verdict:
        if self.failed:
            return Verdict.FALSE
        return Verdict.NOT_CHECKED if self.not_checked else Verdict.of(self.sums)

    def cases(self) -> list[tuple[str, Step]]:
        """For JUnit: each step of each token that is kept."""
        return [(f"token {result.token_id}", step) for result in self.results for step in result.steps]


def verify_contract(
    workspace: Workspace, config: Settings, name: str | None, scope: Scope, observer: Observer
) -> ContractReport:
    """Walk every token of the scope from the chain to its image, and to its pixels where the scope says so.

    What fails is in the report. Raises BadArgument for a scope that is empty, RpcUnavailable for a chain that gives no
    answer: without it nothing can be said of any token.
    """
    content, content_name, at_once = content_from(workspace, config, scope.gateway, scope.kubo)
    redraw = redraw_with(config, workspace) if scope.regenerate else None
    with open_contract(workspace, config, name, scope.contract) as contract:
        source = Source(contract, content, redraw)
        supply = _total_supply(source, scope)
        chosen = _chosen(scope, supply)
        report = ContractReport(
            contract.address, contract.chain.chain_id, contract.chain.head().number, content_name, supply
        )
        results = _walked(source, chosen, 1 if redraw else at_once)
        _fill(report, results, len(chosen), redraw, lambda done: observer.progress("verify", done, len(chosen)))
    return report


@contextmanager
def open_contract(workspace: Workspace, config: Settings, name: str | None, address: str | None) -> Iterator[Contract]:
    """The contract at an address, or that of a collection of the ledger."""
    if address is not None:
        parsed = parsed_address(address, "--contract")
        with chain_url(config, workspace, kind_here(workspace, config)) as url:
            yield Collection(reach(url), parsed)
        return
    collection = collection_named(workspace, name)
    if collection.contract is None:
        raise BadArgument(name="--name", value=collection.name, expected="a collection that is deployed")
    with open_chain(config, workspace, collection) as chain:
        yield Collection(chain, collection.contract)


def _total_supply(source: Source, scope: Scope) -> int | None:
    """How many tokens there are; None for a contract of others, of which only a given token can be looked at.

    Raises BadArgument for such a contract where no token is given.
    """
    contract = source.contract
    if matches_source(source.code()):
        return contract.next_token_id() - 1
    if scope.token is None:
        raise BadArgument(
            name="--contract",
            value=contract.address,
            expected=f"a contract of ours on {contract.chain.rpc.shown}",
            hint="check the address and the RPC URL; `--token N` looks at one token of any contract",
        )
    return None


def _chosen(scope: Scope, supply: int | None) -> Sequence[int]:
    """The token ids to walk: one; a sample with the first and the last in it; or all."""
    if scope.token is not None:
        return [scope.token]
    assert supply is not None
    if not supply:
        raise BadArgument(name="--contract", value="one without tokens", expected="one whose tokens are minted")
    return sample_of(supply, scope.sample)


def _walked(source: Source, token_ids: Sequence[int], at_once: int) -> Iterator[TokenResult]:
    def walk(token_id: int) -> TokenResult:
        return TokenResult(token_id, tuple(verify_token(source, token_id)))

    pool = ThreadPoolExecutor(at_once, "verify")
    try:
        for start in range(0, len(token_ids), PAGE):
            page = token_ids[start : start + PAGE]
            if len(page) > 1:
                source.look_ahead(page)
            yield from pool.map(walk, page)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for what is being fetched, not for the rest of the page


def _fill(
    report: ContractReport,
    results: Iterable[TokenResult],
    total: int,
    redraw: Redraw | None,
    told: Callable[[int], None],
) -> None:
    """Count the results into the report as they come."""
    tallies = {name: Tally(name, unit) for name, unit in _UNITS.items() if redraw or name != "pixels"}
    for result in results:
        for step in result.steps:
            if step.name != "contract" or not report.tokens:  # the same one for every token
                tallies[step.name].add(step, f"token {result.token_id}")
        if result.verdict is Verdict.FALSE:
            report.failed.append(result.token_id)
        elif not result.ok:
            report.not_checked.append(result.token_id)
        if not result.ok or total <= MAX_TOLD:
            report.results.append(result)
        report.tokens += 1
        told(report.tokens)
    if redraw is not None:
        tallies["pixels"].unit += f": {redraw.summary()}"
    report.sums = tuple(tally.step() for tally in tallies.values() if tally.seen)
