"""What a call of `mint` means in this workspace: begin, add, continue, or only tell; and the plan that it leads to."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.art.source import encoder_of
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import BadArgument, CollectionExists, RunDiffers, UsageError
from pipeline.base.limits import MAX_AIRDROP, MAX_NAME, MAX_SEED, MAX_TEXT
from pipeline.base.metadata import collection_metadata
from pipeline.base.records import NOTHING, ZERO_ADDRESS, Address, TokenSpec
from pipeline.base.seeds import token_seed
from pipeline.base.words import Expected, counted, one_line
from pipeline.base.workspace import Workspace
from pipeline.flow.recipients import Recipients
from pipeline.ledger import Collection, Ledger, NewCollection, Run, RunPlan
from pipeline.mint.collection import Constructor, deploy_data, parsed_address
from pipeline.settings import Scope, Setting, Settings, every_setting
from pipeline.settings.table import REMEMBERED

if TYPE_CHECKING:
    from pipeline.art.source import About, ArtPlan

UNTITLED = "Untitled"  # of art that has no name of its own either
SMALL_RUN = 500  # tokens: up to here batches of 50, so that the first is on the chain early

_PLACES = ("pin", "chain")  # what a run that is only drawn does not hold fast
_TO_CONTENT = "to_sha256"
_JOB = "job"  # of the service: nobody else continues its run, and it continues nobody else's


@dataclass(frozen=True, slots=True)
class Continue:
    """An unfinished run with these arguments: go on with it."""

    run: Run


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with these arguments is complete: tell its result."""

    run: Run


@dataclass(frozen=True, slots=True)
class Add:
    """Plan more tokens of this collection."""

    collection: Collection


@dataclass(frozen=True, slots=True)
class Begin:
    """Plan a new collection of this name; empty: nobody named it, and its art does."""

    name: str


Decision = Continue | Finished | Add | Begin


def arguments_of(settings: Settings, count: int, recipients: Recipients | None = None) -> dict[str, Any]:
    """The call's arguments as a run remembers them; of a file of recipients it remembers the content as well."""
    arguments = {line.name: _as_json(settings, line) for line in every_setting() if line.scope in REMEMBERED}
    arguments["name"] = settings.collection.name if settings.given("name") else ""
    arguments["chain"] = chain_kind(settings, None)
    arguments[_JOB] = settings.job
    if recipients is not None:
        arguments[_TO_CONTENT] = recipients.sha256
    return {"count": count, **arguments}


def _as_json(settings: Settings, line: Setting) -> Any:
    value = settings.value(line.name)
    return "" if value is None else value


def decide(
    ledger: Ledger, config: Settings, count: int, recipients: Recipients | None = None, *, more: bool, new: bool
) -> Decision:
    """Read the workspace and say what this call means.

    Raises RunDiffers beside an unfinished run of the same collection with other arguments, CollectionExists where the
    collection is complete and neither `more` nor `new` was asked for.
    """
    arguments = arguments_of(config, count, recipients)
    unfinished = ledger.runs.all_unfinished()
    for run in unfinished:
        if not _disagreements(run, arguments):
            return Continue(run)
    collection = wanted_collection(ledger, config, more=more)
    for run in unfinished:
        holds_it = collection is not None and run.collection == collection.id and not (new and not config.given("name"))
        if holds_it or (config.job and run.job == config.job):
            raise _differs(run, arguments, ledger.collections.get(run.collection).name, config)
    if collection is None:
        return Begin(config.collection.name)
    runs = ledger.runs.of(collection.id)
    if not runs and not new:  # rebuilt from a contract that has minted nothing yet
        must_fit(collection, config)
        return Add(collection)
    if runs and runs[0].state == "done" and not _differences(runs[0], arguments):
        return Finished(runs[0])  # ended, but the caller never heard of it
    if new:
        if config.given("name"):
            raise CollectionExists(
                collection=collection.name,
                tokens=counted(ledger.runs.next_token(collection) - 1, "token(s)"),
                differences="a new collection of the same name",
                hint="choose another --name",
            )
        return Begin("")
    if more:
        must_fit(collection, config)
        return Add(collection)
    arguments["name"] = runs[0].arguments.get("name", "")  # it is this collection's, whether it was said or not
    for run in runs:
        if not run.abandoned and not _differences(run, arguments | {"name": run.arguments.get("name", "")}):
            return Finished(run)
    raise CollectionExists(
        collection=collection.name,
        tokens=counted(ledger.runs.next_token(collection) - 1, "token(s)"),
        differences=_told(_differences(runs[0], arguments)) or "the rest of that run, which was let go of",
    )


def named_after(ledger: Ledger, about: About, seed: int) -> Begin:
    """A new collection that nobody named: by the name that its art source has for it, with a number where that is taken."""
    return Begin(_free_name(ledger, about.name_for(seed) or UNTITLED))


def collection_of(ledger: Ledger, decision: Decision) -> Collection | None:
    """The collection that a decision is about; None when it begins one."""
    if isinstance(decision, Add):
        return decision.collection
    return None if isinstance(decision, Begin) else ledger.collections.get(decision.run.collection)


def collection_name(ledger: Ledger, decision: Decision) -> str:
    """The name of the collection that a decision is about, planned or not."""
    if isinstance(decision, Begin):
        return decision.name
    known = collection_of(ledger, decision)
    assert known is not None
    return known.name


def chain_kind(config: Settings, known: Collection | None) -> str:
    """Where tokens go: the chain of a collection, else `external` for an RPC URL, else an embedded program."""
    if known is not None and known.is_placed:
        return known.chain_kind
    return "external" if config.chain.rpc_url else str(config.chain.chain)


def batch_size(config: Settings, count: int, recipients: Recipients | None = None) -> int:
    """Tokens per batch: as configured, or 50 up to 500 tokens and 500 above; less where each has its own recipient."""
    size: int = config.mint.batch or (50 if count <= SMALL_RUN else 500)
    return min(size, MAX_AIRDROP) if recipients is not None and len(recipients.addresses) > 1 else size


def collection_seed(settings: Settings) -> int:
    """The seed of a collection that begins: the one that was chosen, or one drawn at random."""
    return secrets.randbelow(MAX_SEED + 1) if settings.art.seed is None else settings.art.seed


def collection_settings(
    config: Settings, name: str, owner: Address, about: About, seed: int | None = None
) -> NewCollection:
    """The settings of a new collection, complete: what nobody chose its art source says, or it is made here.

    Raises BadArgument for what the contract or the collection's metadata would refuse: asked of their own writers, so that
    nothing is planned that cannot be minted.
    """
    chosen = config.collection
    name = _by_rule("--name", name, lambda text: one_line(text, MAX_NAME))
    symbol = chosen.symbol or _by_rule("symbol", about.symbol or _symbol(name), lambda text: one_line(text, MAX_NAME))
    settings = NewCollection(
        name=name,
        symbol=symbol,
        description=chosen.description or about.description or chosen.statement or name,
        external_url=chosen.external_url,
        royalty_bps=chosen.royalty_bps,
        royalty_receiver=Address(chosen.royalty_receiver or owner),
        max_supply=chosen.max_supply,
        owner=owner,
        seed=collection_seed(config) if seed is None else seed,
        artist=chosen.artist
        or about.artist
        and _by_rule("artist", about.artist, lambda text: one_line(text, MAX_TEXT)),
        statement=chosen.statement,
        licence=chosen.licence,
    )
    _must_be_writable(settings)
    return settings


def _by_rule(what: str, text: str, rule: Callable[[str], str]) -> str:
    try:
        return rule(text)
    except Expected as expected:
        raise BadArgument(name=what, value=text[:80], expected=str(expected)) from None


def _must_be_writable(new: NewCollection) -> None:
    picture = str(IpfsUri(CID.raw(bytes(32)), "cover.png"))
    collection_metadata(
        *(new.name, new.symbol, new.description, picture, new.external_url),
        artist=new.artist,
        statement=new.statement,
        licence=new.licence,
    )
    deploy_data(
        Constructor(
            name=new.name,
            symbol=new.symbol,
            owner=new.owner,
            minter=ZERO_ADDRESS,
            royalty_receiver=new.royalty_receiver,
            royalty_bps=new.royalty_bps,
            max_supply=new.max_supply,
            info_digest=bytes(32),
        )
    )


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it will be written, once nothing is wrong with it; a bill is made of the same."""

    known: Collection | None  # None: the run begins a collection, with these settings
    settings: NewCollection | None
    arguments: dict[str, Any]
    start: int
    count: int
    batch_size: int
    recipients: Recipients | None
    recipient: Address  # of every token, where no file says it
    art: ArtPlan

    @property
    def seed(self) -> int:
        planned = self.known or self.settings
        assert planned is not None, "a run is of a collection"
        return planned.seed

    @property
    def to(self) -> Iterator[Address]:
        """Who gets each token."""
        return iter(self.recipients or repeat(self.recipient, self.count))

    def specs(self) -> Iterator[TokenSpec]:
        return token_specs(self.seed, self.start, self.to, self.art.seed_of)


def enter_run(
    ledger: Ledger, collection: int, plan: NewRun, near: int | None, pinners: Sequence[str] = (), rpc_url: str = ""
) -> int:
    """Write a run down as a whole, and return its key; inside `atomic`. `near` is its gate's."""
    art = plan.art
    key = ledger.runs.plan(
        collection,
        RunPlan(
            *(plan.arguments, art.fingerprint, plan.start, plan.count, plan.batch_size),
            *(pinners, rpc_url),
        ),
        plan.specs(),
    )
    ledger.tokens.plan_art(collection, art.tokens)
    art.enter(ledger, collection)
    ledger.runs.set_gate(key, near)
    return key


def token_specs(
    collection_seed: int, start: int, recipients: Iterable[Address], seed_of: Callable[[int, int], int] = token_seed
) -> Iterator[TokenSpec]:
    """A token for each recipient: each has a seed of its own, whatever its neighbours or its batch."""
    for token_id, recipient in enumerate(recipients, start):
        yield TokenSpec(token_id, seed_of(collection_seed, token_id), recipient)


def new_run(
    ledger: Ledger,
    config: Settings,
    decision: Add | Begin,
    count: int,
    recipients: Recipients | None,
    art: ArtPlan,
    about: About,
    payer: Address,
    seed: int,
) -> NewRun:
    """The run that a decision leads to. Raises BadArgument for what a collection cannot be or have."""
    known = decision.collection if isinstance(decision, Add) else None
    settings = None if isinstance(decision, Add) else collection_settings(config, decision.name, payer, about, seed)
    start = ledger.runs.next_token(known)
    planned = known or settings
    must_have_room(planned.max_supply if planned else 0, start, count)
    to = parsed_address(config.mint.to, "--to") if config.mint.to and recipients is None else payer
    return NewRun(
        known=known,
        settings=settings,
        arguments=arguments_of(config, count, recipients),
        start=start,
        count=count,
        batch_size=batch_size(config, count, recipients),
        recipients=recipients,
        recipient=to,
        art=art,
    )


def must_have_room(max_supply: int, start: int, count: int) -> None:
    """Raise BadArgument where `count` tokens from `start` on are more than a collection may ever have; 0: no limit."""
    if max_supply and start + count - 1 > max_supply:
        expected = f"at most {max_supply - start + 1}, the rest of max supply"
        raise BadArgument(name="--count", value=count, expected=expected)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a workspace holds: how many collections, the run that is not finished, and whether somebody is at it."""

    collections: int
    unfinished: Run | None
    is_busy: bool


def what_stands(workspace: Workspace) -> Standing:
    """Look at a workspace without its lock; one that is not there yet is empty."""
    if not Ledger.exists(workspace.ledger):
        return Standing(0, None, False)
    with Ledger(workspace.ledger, readonly=True) as ledger:
        return Standing(len(ledger.collections.all()), ledger.runs.unfinished(), workspace.is_locked())


def words_of(run: Run, settings: Settings) -> list[str]:
    """The words after the program's name that continue a run, for somebody whose flags are not given again."""
    if run.arguments.get(_JOB):
        return ["serve"]
    words, ambient = ["mint", "--count", str(run.arguments["count"])], settings.without_flags()
    asked = arguments_of(ambient, run.count)
    for line in every_setting():
        planned = _planned(run).get(line.name, asked.get(line.name))
        if line.name in asked and not _same(line, planned, asked[line.name]):
            if not (line.name == "chain" and planned == "external"):
                words += [line.flag, line.said(planned) if isinstance(planned, bool) else str(planned)]
    if run.arguments.get("chain") == "external" and run.is_placed and not settings.chain.rpc_url:
        words += ["--rpc-url", run.rpc_url]
    return words


def lacks_address(run: Run, settings: Settings) -> bool:
    """Whether a run is on a chain elsewhere whose address nobody here knows as a whole: providers keep keys in its path."""
    is_elsewhere = run.arguments.get("chain") == "external" and run.is_placed and not settings.chain.rpc_url
    return is_elsewhere and urlsplit(run.rpc_url).hostname not in ("127.0.0.1", "localhost", "::1")


def command(run: Run, settings: Settings) -> str:
    """The command line that continues a run."""
    return shlex.join(["pipeline", *words_of(run, settings)])


def wanted_collection(ledger: Ledger, config: Settings, *, more: bool) -> Collection | None:
    if config.given("name"):
        found = ledger.collections.named(config.collection.name)
        if found is None and more:
            known = ", ".join(repr(collection.name) for collection in ledger.collections.all()) or "none yet"
            raise BadArgument(
                name="--name", value=config.collection.name, expected=f"a collection of this workspace ({known})"
            )
        return found
    others = {run.collection for run in ledger.runs.all_unfinished() if run.job != config.job}
    collections = [collection for collection in ledger.collections.all() if collection.id not in others]
    if not collections and more:
        raise nothing_to_add_to()
    return collections[-1] if collections else None


def nothing_to_add_to() -> UsageError:
    """The refusal of more tokens in a workspace without a collection."""
    return UsageError(
        reason="there is no collection to add to in this workspace yet",
        hint="leave --more out, or name another --workspace",
    )


def _disagreements(run: Run, arguments: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What keeps a call from continuing a run: of one that is only drawn so far, not where it is sent to."""
    differences = _differences(run, arguments)
    if not run.is_placed:  # where it goes is decided by the call that sends it there
        differences = {key: change for key, change in differences.items() if key not in _PLACES}
    return differences


def _differs(run: Run, arguments: dict[str, Any], collection: str, settings: Settings) -> RunDiffers:
    told = _told(_disagreements(run, arguments))
    return RunDiffers(collection=collection, differences=told, command=f"`{command(run, settings)}`")


def must_fit(collection: Collection, settings: Settings) -> None:
    """Refuse what was said with this call of settings that were fixed when the collection was deployed."""
    for line in every_setting():
        if line.scope is Scope.COLLECTION and settings.said_now(line.name):
            now, planned = settings.value(line.name), getattr(collection, line.name, None)
            if now not in ("", None, planned):
                raise CollectionExists(
                    collection=collection.name,
                    tokens="its tokens",
                    differences=f"{line.name} {now!r} instead of {planned if planned is not None else 'its own'!r}",
                    hint="these settings were fixed at deployment; leave them out with `--more`",
                )


def _planned(run: Run) -> dict[str, Any]:
    """A run's arguments; one of 0.1 remembers its encoder elsewhere."""
    return {"encoder": encoder_of(run)} | run.arguments


def _same(line: Setting, planned: Any, asked: Any) -> bool:
    """The same value, whatever the case of an address or the form of an accent was when it was planned."""
    if planned == asked:
        return True
    try:
        return bool(line.said(line.form.read(str(planned))) == line.said(line.form.read(str(asked))))
    except Expected:
        return False


def _differences(run: Run, asked: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    planned, has_no_encoder = _planned(run), run.encoder == NOTHING
    lines = {line.name: line for line in every_setting()}
    found = {}
    for key in asked:
        line = lines.get(key)
        if line is not None and (key not in planned or (has_no_encoder and line.name == "encoder")):
            continue  # a setting that is younger than the run, or that pictures which exist have no use for
        before = planned.get(key, "")
        if not (_same(line, before, asked[key]) if line else before == asked[key]):
            found[key] = (before, asked[key])
    return found


def _told(differences: dict[str, tuple[Any, Any]]) -> str:
    if differences.keys() == {_TO_CONTENT}:
        return "the file of --to has another content"
    return "; ".join(
        _told_askers(planned, asked)
        if key == _JOB
        else f"--{key.replace('_', '-')} {_value(asked, 'not given')} instead of {_value(planned, 'none')}"
        for key, (planned, asked) in differences.items()
        if key != _TO_CONTENT
    )


def _value(value: Any, nothing: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else nothing


def _told_askers(planned: str, asked: str) -> str:
    now, before = (f"job {job} of the service" if job else "a command" for job in (asked, planned))
    return f"{now} asks instead of {before}"


def _free_name(ledger: Ledger, name: str) -> str:
    taken = {collection.name for collection in ledger.collections.all()}
    number = 2
    while name in taken:
        base = name.rsplit(" ", 1)[0] if name.rsplit(" ", 1)[-1].isdigit() else name
        name = f"{base} {number}"
        number += 1
    return name


def _symbol(name: str) -> str:
    letters = "".join(character for character in name.upper() if character.isascii() and character.isalnum())
    return letters[:5] or "ART"
