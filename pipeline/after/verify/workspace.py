"""The collections of a workspace: what the ledger remembers of it, against the chain, the CARs and the image files."""

from __future__ import annotations

from pipeline.after.report import has_begun, reading
from pipeline.after.verify.ladder import Ladder, climb
from pipeline.after.verify.steps import Proof, Report, Tally, Verdict
from pipeline.after.verify.walk import Found, Holder, follow_uri
from pipeline.art.artworks import is_intact
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import PipelineError, UsageError, WrongChain
from pipeline.base.observer import Observer
from pipeline.base.records import BatchPlan
from pipeline.base.words import counted
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import open_chain
from pipeline.ledger import Collection, Ledger, Token
from pipeline.mint.collection import Collection as Contract
from pipeline.mint.collection import OnChainBatch, contract_uri
from pipeline.mint.compile import matches_source
from pipeline.pin.store import CarStore
from pipeline.settings import Settings


def verify(
    workspace: Workspace, config: Settings, name: str | None, observer: Observer, ladder: Ladder | None = None
) -> Proof:
    """Check every collection of this workspace, or the named one: ledger, chain, contract, owners, token URIs, CARs,
    metadata, images; and climb the ladder of proof at every place that was asked to keep its content, where there is one.

    What fails, and what could not be checked, is in the report; a workspace without a collection has nothing to prove
    yet. Raises PipelineError only where the named collection or folder is not there, or the only collection to check
    lives on another chain than the settings lead to.
    """
    if name is None and not has_begun(workspace, config):
        return Proof(())
    with reading(workspace, name) as (ledger, found):
        wanted = [found] if name is not None else ledger.collections.all()
        return Proof(
            tuple(_verified(workspace, config, ledger, each, observer, ladder, len(wanted) == 1) for each in wanted)
        )


def _verified(
    workspace: Workspace,
    config: Settings,
    ledger: Ledger,
    collection: Collection,
    observer: Observer,
    ladder: Ladder | None,
    is_alone: bool,
) -> Report:
    tallies = [_check_ledger(ledger)]
    answers = Tally("chain", "")
    try:
        _check_chain(workspace, config, ledger, collection, observer, tallies)
    except PipelineError as error:
        # One --rpc-url leads to one chain: collections that live elsewhere are no reason to prove none of them.
        if not error.proves_nothing and (is_alone or not isinstance(error, WrongChain | UsageError)):
            raise
        answers.unchecked.append(f"{error}; {error.hint}" if error.hint else str(error))
    tallies += [answers, *_check_content(workspace, ledger, collection, observer)]
    if ladder is not None:
        tallies += climb(ladder, workspace, config, ledger, collection, observer)
    checks = tuple(tally.step() for tally in tallies if tally.seen)
    minted, pending = _unminted(ledger, collection)
    verdict = Verdict.of(checks)
    if verdict is Verdict.HOLDS and not minted:
        verdict = Verdict.NOTHING_YET
    return Report(collection.name, collection.known_chain_id, collection.contract, pending, verdict, checks)


def _unminted(ledger: Ledger, collection: Collection) -> tuple[int, str]:
    """How many tokens are minted, and what there is to say of those that are not."""
    counts = ledger.tokens.counts(collection.id)
    planned, minted = sum(counts.values()), counts.get("mined", 0) + counts.get("final", 0)
    if not minted:
        drawn = planned - counts.get("planned", 0)
        told = (
            f"{drawn:,} of {counted(planned, 'token(s)')} drawn, none minted yet" if planned else "no token is planned"
        )
        return minted, f"{told}: nothing to prove yet"
    if minted == planned:
        return minted, ""
    return minted, f"{minted:,} of {planned:,} tokens minted: nothing to prove yet of the others"


def _check_ledger(ledger: Ledger) -> Tally:
    tally = Tally("ledger", "event(s) chained; plans and sealed batches are as they were written")
    with tally.guarded("ledger"):
        ledger.check()
        tally.passed = ledger.event_count()
    return tally


def _check_chain(
    workspace: Workspace,
    config: Settings,
    ledger: Ledger,
    collection: Collection,
    observer: Observer,
    tallies: list[Tally],
) -> None:
    """What the contract says, against what was planned: code, supply, digests, owners, token URIs.

    Counts into tallies as it goes: what was seen before a chain fell silent was seen.
    """
    if collection.contract is None:
        return
    code = Tally("contract", "contract with the code of this version's source")
    document = Tally("collection document", "contractURI() that leads to the document planned for it")
    supply = Tally("supply", "witnesses agree on the number of tokens: the chain, the ledger, the finished plans")
    digests = Tally("digests", "batch(es) with the metadata directory committed on the chain")
    uris = Tally("token URIs", "token URI(s) into that directory")
    owners = Tally("owners", "token(s) with an owner")
    tallies += [code, document, supply, digests, uris, owners]
    with open_chain(config, workspace, collection) as chain:
        contract = Contract(chain, collection.contract)
        found = chain.code(collection.contract)
        if not found and collection.state in ("planned", "live"):
            return  # signed, and not mined yet
        code.expect(matches_source(found), True, "the code's match with its source")
        if code.failures:
            return
        state = contract.state()
        planned = contract_uri(collection.info_root.digest) if collection.info_root else ""
        document.expect(state.contract_uri, planned, "contractURI()")
        _compare_witnesses(ledger, collection, state.total_supply, supply)
        minted = [batch for batch in ledger.batches.sealed(collection.id) if batch[0].start <= state.total_supply]
        total = sum(plan.quantity for plan, _, _ in minted)
        for plan, _, metadata in minted:
            _check_batch(contract, plan, metadata, digests, uris, owners)
            observer.progress("verify", owners.passed, total)


def _compare_witnesses(ledger: Ledger, collection: Collection, on_chain: int, supply: Tally) -> None:
    """Chain, ledger and plan each say how many tokens there are: none of them is compared with itself."""
    counts = ledger.tokens.counts(collection.id)
    by_ledger = counts.get("mined", 0) + counts.get("final", 0)
    in_flight = counts.get("live", 0)  # sent by a run that is not finished: it has not looked at the chain since
    done = [run.id for run in ledger.runs.of(collection.id) if run.state != "running"]
    missing = sum(batch.plan.quantity for run in done for batch in ledger.batches.unminted(run))
    again = "`pipeline status` tells the command that looks at the chain and sends what is missing"
    supply.passed += 3
    if not by_ledger <= on_chain <= by_ledger + in_flight:
        why = "a reorg took the others, or they never came" if on_chain < by_ledger else "it did not hear of the others"
        told = f"the chain has {on_chain:,} tokens, the ledger has {by_ledger:,} as minted"
        supply.failures.append(f"{told}: {why}. {again}")
    if missing:
        supply.failures.append(f"the ledger lacks {missing:,} tokens of finished runs: {again}")


def _check_batch(
    contract: Contract, plan: BatchPlan, metadata: CID, digests: Tally, uris: Tally, owners: Tally
) -> None:
    ids = list(plan.token_ids)
    digests.expect(
        contract.batch_of(plan.start),
        OnChainBatch(ids[0], ids[-1], metadata.digest),
        f"the batch of token {plan.start}",
    )
    for token_id, uri in zip(ids, contract.token_uris(ids), strict=True):
        uris.expect(uri, str(IpfsUri(metadata, f"{token_id}.json")), f"the URI of token {token_id}")
    for token_id, owner in zip(ids, contract.owners_of(ids), strict=True):
        owners.expect(owner is not None, True, f"token {token_id}: its having an owner")


def _check_content(workspace: Workspace, ledger: Ledger, collection: Collection, observer: Observer) -> list[Tally]:
    """What the CARs hold: sound blocks, metadata that says what was planned, images that hash to what it says."""
    store = CarStore(workspace.cars)
    cars = Tally("CARs", "CAR(s) with every block and every link")
    steps = {
        "metadata": Tally("metadata", "document(s) with what was planned"),
        "image": Tally("images", "image(s) where the metadata says"),
        "digest": Tally("digests of images", "image(s) with the hash that the metadata says"),
        "credential": Tally("credentials", "signed credential(s) that name their token"),
    }
    files = Tally("files", "image file(s) as drawn")
    holder = Holder(collection.chain_id, collection.contract) if collection.contract else None
    for root in ledger.collections.roots(collection.id):
        with cars.guarded(str(root)):
            store.verify(root)
            cars.passed += 1
    total = sum(ledger.tokens.counts(collection.id).values())
    for plan, _, _ in ledger.batches.sealed(collection.id):
        for token in ledger.tokens.of(collection.id, plan.start, plan.quantity):
            _check_token(store, token, holder, steps)
            path = workspace.image(collection.id, token.token_id, token.suffix)
            files.expect(is_intact(path, token.image_sha256 or b""), True, f"{path}: its match with the ledger")
        observer.progress("verify", files.passed + len(files.failures), total)
    return [cars, *steps.values(), files]


def _check_token(store: CarStore, token: Token, holder: Holder | None, tallies: dict[str, Tally]) -> None:
    """Read a token as a collector would, and compare what its document says with what was planned."""
    assert token.token_uri is not None  # the batch is sealed
    found = Found(token.token_id, token.token_uri, holder)
    for step in follow_uri(store, found):
        if step.name == "metadata" and step.ok:
            seed = found.document.get("generator", {}).get("seed", token.seed)
            tallies["metadata"].expect(
                (found.document["image"], seed),
                (token.image, token.seed),
                f"image and seed in the metadata of token {token.token_id}",
            )
        else:
            tallies[step.name].add(step, f"token {token.token_id}")
