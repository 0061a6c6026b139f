"""What a call of `mint` means in this workspace: begin, add, continue, or only tell; and the plan that it leads to."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument, CollectionExists, RunDiffers
from pipeline.base.limits import MAX_AIRDROP, MAX_NAME, MAX_SEED
from pipeline.base.records import Address, TokenSpec
from pipeline.base.seeds import token_seed
from pipeline.flow.recipients import Recipients
from pipeline.ledger import Collection, Ledger, Run
from pipeline.settings.config import DEFAULTS, Config

if TYPE_CHECKING:
    from pipeline.art.folder import ImageFolder

SMALL_RUN = 500  # tokens: up to here batches of 50, so that the first is on the chain early

# Everything that decides which tokens come to be. Fees, addresses of nodes and devices may change between two calls.
_ARGUMENTS = (
    *("name", "symbol", "description", "external_url", "royalty_bps", "royalty_receiver", "cover", "max_supply"),
    *("images", "model", "size", "seed", "pin", "chain", "to", "batch"),
)
_TO_CONTENT = "to_sha256"
_JOB = "job"  # of the service: nobody else continues its run, and it continues nobody else's
_OF_THE_COLLECTION = ("symbol", "description", "external_url", "royalty_bps", "max_supply", "royalty_receiver")


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
    """Plan a new collection of this name."""

    name: str


Decision = Continue | Finished | Add | Begin


def arguments_of(config: Config, count: int, recipients: Recipients | None = None) -> dict[str, Any]:
    """The call's arguments as a run remembers them; of a file of recipients it remembers the content as well."""
    arguments = {name: config[name] for name in _ARGUMENTS}
    arguments["name"] = config["name"] if config.given("name") else ""
    arguments["chain"] = chain_kind(config, None)
    arguments[_JOB] = config.job
    if recipients is not None:
        arguments[_TO_CONTENT] = recipients.sha256
    return {"count": count, **arguments}


def decide(
    ledger: Ledger, config: Config, count: int, recipients: Recipients | None = None, *, more: bool, new: bool
) -> Decision:
    """Read the workspace and say what this call means.

    Raises RunDiffers beside an unfinished run with other arguments, CollectionExists where the collection is complete
    and neither `more` nor `new` was asked for.
    """
    arguments = arguments_of(config, count, recipients)
    unfinished = ledger.runs.unfinished()
    if unfinished:
        _must_agree(unfinished, arguments, ledger.collections.get(unfinished.collection).name)
        return Continue(unfinished)
    collection = _wanted_collection(ledger, config, more=more)
    if collection is None:
        return Begin(config["name"])
    runs = ledger.runs.of(collection.id)
    if not runs and not new:  # rebuilt from a contract that has minted nothing yet
        _must_fit(collection, config)
        return Add(collection)
    if runs and runs[0].state == "done" and not _differences(runs[0].arguments, arguments):
        return Finished(runs[0])  # ended, but the caller never heard of it
    if new:
        if config.given("name"):
            raise CollectionExists(
                collection=collection.name,
                count=ledger.runs.next_token(collection) - 1,
                differences="a new collection of the same name",
                hint="choose another --name",
            )
        return Begin(_free_name(ledger, config["name"]))
    if more:
        _must_fit(collection, config)
        return Add(collection)
    for run in runs:
        if not _differences(run.arguments, arguments):
            return Finished(run)
    raise CollectionExists(
        collection=collection.name,
        count=ledger.runs.next_token(collection) - 1,
        differences=_told(_differences(runs[0].arguments, arguments)),
    )


def named_after(ledger: Ledger, config: Config, decision: Decision, folder: ImageFolder) -> Decision:
    """The same decision; a collection that begins with a folder and that nobody named is called after the folder."""
    if isinstance(decision, Begin) and not config.given("name"):
        return Begin(_free_name(ledger, folder.collection_name))
    return decision


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


def chain_kind(config: Config, known: Collection | None) -> str:
    """Where tokens go: the chain of a collection, else `external` for an RPC URL, else an embedded program."""
    if known is not None:
        return known.chain_kind
    return "external" if config["rpc_url"] else str(config["chain"])


def batch_size(config: Config, count: int, recipients: Recipients | None = None) -> int:
    """Tokens per batch: as configured, or 50 up to 500 tokens and 500 above; less where each has its own recipient."""
    size: int = config["batch"] or (50 if count <= SMALL_RUN else 500)
    return min(size, MAX_AIRDROP) if recipients is not None and len(recipients.addresses) > 1 else size


def collection_settings(config: Config, name: str, owner: Address, model: str) -> dict[str, Any]:
    """The settings of a new collection, complete: what was left open is filled in here."""
    symbol = config["symbol"] or _symbol(name)
    for label, value in (("--name", name), ("--symbol", symbol)):
        if not 1 <= len(value.encode()) <= MAX_NAME:
            raise BadArgument(name=label, value=value, expected=f"1 to {MAX_NAME} bytes of text")
    return {
        "name": name,
        "symbol": symbol,
        "description": config["description"] or f"Drawn by the {model} generator; every seed draws its image again.",
        "external_url": config["external_url"],
        "royalty_bps": config["royalty_bps"],
        "royalty_receiver": config["royalty_receiver"] or owner,
        "max_supply": config["max_supply"],
        "owner": owner,
        "seed": secrets.randbelow(MAX_SEED + 1) if config["seed"] == "" else config["seed"],
    }


def token_specs(collection_seed: int, start: int, recipients: Iterable[Address]) -> Iterator[TokenSpec]:
    """A token for each recipient: each has a seed of its own, whatever its neighbours or its batch."""
    for token_id, recipient in enumerate(recipients, start):
        yield TokenSpec(token_id, token_seed(collection_seed, token_id), recipient)


def command(run: Run) -> str:
    """The command line that continues a run."""
    if run.arguments.get(_JOB):
        return f"pipeline serve (it is job {run.arguments[_JOB]} there)"
    words = [f"--count {run.arguments['count']}"]
    for name in _ARGUMENTS:
        value = run.arguments.get(name, "")
        if name == "chain" and value == "external":
            words.append("--rpc-url …")
        elif value not in ("", DEFAULTS[name]):
            quoted = f'"{value}"' if " " in str(value) else value
            words.append(f"--{name.replace('_', '-')} {quoted}")
    return f"pipeline mint {' '.join(words)}"


def _wanted_collection(ledger: Ledger, config: Config, *, more: bool) -> Collection | None:
    if config.given("name"):
        found = ledger.collections.named(config["name"])
        if found is None and more:
            known = ", ".join(repr(collection.name) for collection in ledger.collections.all()) or "none yet"
            raise BadArgument(name="--name", value=config["name"], expected=f"a collection of this workspace ({known})")
        return found
    collections = ledger.collections.all()
    if not collections and more:
        raise BadArgument(name="--more", value="given", expected="a collection to add to; this workspace has none yet")
    return collections[-1] if collections else None


def _must_agree(run: Run, arguments: dict[str, Any], collection: str) -> None:
    differences = _differences(run.arguments, arguments)
    if differences:
        raise RunDiffers(collection=collection, differences=_told(differences), command=command(run))


def _must_fit(collection: Collection, config: Config) -> None:
    """Refuse settings that were fixed when the collection was deployed."""
    for name in _OF_THE_COLLECTION:
        if config.given(name) and config[name] not in ("", getattr(collection, name)):
            raise CollectionExists(
                collection=collection.name,
                count="its",
                differences=f"{name} {config[name]!r} instead of {getattr(collection, name)!r}",
                hint="these settings were fixed at deployment; leave them out with `--more`",
            )


def _differences(planned: dict[str, Any], asked: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (planned.get(key, ""), asked[key]) for key in asked if planned.get(key, "") != asked[key]}


def _told(differences: dict[str, tuple[Any, Any]]) -> str:
    if differences.keys() == {_TO_CONTENT}:
        return "the file of --to has another content"
    return "; ".join(
        _told_askers(planned, asked)
        if key == _JOB
        else f"--{key.replace('_', '-')} {asked if asked != '' else 'not given'} instead of {planned if planned != '' else 'none'}"
        for key, (planned, asked) in differences.items()
        if key != _TO_CONTENT
    )


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
