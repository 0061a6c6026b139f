"""Everything that can go wrong, and what to do next.

PipelineError                         exit 1
├── UsageError                        exit 2: the words of the call, or the configuration
│   ├── BadArgument
│   ├── BadFiles                      each of a folder's files that cannot be minted
│   ├── UnknownSetting
│   ├── NoSuch
│   ├── RunDiffers
│   ├── CollectionExists
│   ├── NotConfirmed
│   ├── KeyRefused
│   ├── KeyReused
│   ├── Outdated                      it was made of what is no longer so
│   ├── ReadOnly                      what is fixed by now
│   ├── MissingExtra                  an optional package that is not installed
│   └── BrokenPlugin                  another package's generator or pinner that cannot be used
├── WorkspaceError                    the folder that holds everything
│   ├── WorkspaceLocked               retryable
│   ├── WorkspaceUnwritable
│   ├── NewerSchema
│   ├── LedgerRefused                 a database that does not serve as it is
│   ├── LedgerUnreachable             retryable
│   ├── ConstraintBroken              what the ledger's tables never take
│   └── Corrupt                       bytes that no longer hash to what was recorded
├── GenerationError                   models, weights, devices, images
│   ├── NoModel                       exit 2
│   ├── NothingPasses                 every attempt of a token was refused by the gate
│   └── NotMadeHere                   pictures that existed, or that a seed alone does not tell
├── PinError
│   ├── DigestMismatch
│   ├── BadCar
│   ├── ContentMissing
│   ├── PinnerUnavailable             retryable
│   ├── OnlyClaimed                   a place says that it has the content, and nobody read it back
│   ├── LastPlace
│   └── GatewayUnavailable            retryable
├── ChainError
│   ├── RpcUnavailable                retryable
│   ├── RpcError                      the node answered with an error
│   ├── WrongChain
│   │   └── WrongNetwork
│   ├── BadRecipient
│   ├── NotOwner
│   ├── SignerMismatch
│   ├── InsufficientFunds
│   ├── AccountBusy
│   ├── LimitReached
│   ├── Reverted
│   └── ForeignTransaction
├── QueueFull                         retryable: the service has enough to do
└── Interrupted                       exit 130: resumable

A class is one sentence with named fields, and a second one that says what to do next; raise it with the fields as
keywords, and with `hint=` where the place knows a better next step. Third-party errors are translated once, at the
border, and kept as `__cause__`. Whoever wrote a field, no sentence holds a known secret or a character that acts.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, ClassVar

from pipeline.base.secrets import redacted, shown_value
from pipeline.base.untrusted import printable

MAX_LISTED = 20  # faults of one folder that an error spells out
MAX_WORDS = 4_000  # characters of one field


class PipelineError(Exception):
    """Base of all errors that a caller is told about: `str(error)` is the sentence, `error.hint` the next step."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    proves_nothing: ClassVar[bool] = False  # whoever was asked gave no answer: it is neither true nor false
    sentence: ClassVar[str] = "{reason}"
    next_step: ClassVar[str] = ""

    def __init__(self, *, hint: str | None = None, **fields: Any) -> None:
        self.fields: dict[str, Any] = {
            name: redacted(value) if isinstance(value, str) else value for name, value in fields.items()
        }
        words = {name: _in_words(value) for name, value in fields.items()}
        self.hint = redacted(self.next_step.format(**words) if hint is None else printable(hint, MAX_WORDS, lines=True))
        super().__init__(redacted(self.sentence.format(**words)))


def _in_words(value: Any) -> Any:
    """A field as it stands in a sentence: whoever wrote it, it is shown and does nothing; several texts are several lines."""
    if isinstance(value, list | tuple):
        return "\n  ".join(str(_in_words(part)) for part in value[:100])
    if isinstance(value, int):
        return value if value.bit_length() < 4_096 else f"a number of {value.bit_length():,} bits"
    return _Shown(printable(value, MAX_WORDS)) if isinstance(value, str | PurePath) else value


class _Shown(str):
    """Text that nothing acts in any more: in quotes it is as it is, where `repr` would write each backslash twice."""

    __slots__ = ()

    def __repr__(self) -> str:
        quote = '"' if "'" in self and '"' not in self else "'"
        return f"{quote}{self}{quote}"


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────


class UsageError(PipelineError):
    """The call itself is wrong; nothing was started."""

    exit_code = 2


class BadArgument(UsageError):
    """One value is out of its range or of the wrong form."""

    sentence = "{name} is {value!r}; expected {expected}"

    def __init__(self, *, value: object, **fields: Any) -> None:
        if value == "":  # nobody gave anything: the sentence does not say that somebody did
            self.sentence = "{name} is not given; expected {expected}"  # type: ignore[misc]
        super().__init__(value=shown_value(value), **fields)


class BadFiles(UsageError):
    """Several files of a folder cannot be minted: `faults` has each by its name, with what was expected of it."""

    sentence = "{count:,} faults in {folder}:\n  {listed}"

    def __init__(self, *, folder: Any, faults: list[tuple[str, str]], hint: str | None = None) -> None:
        told = [f"{name}: expected {expected}" for name, expected in faults[:MAX_LISTED]]
        if len(faults) > MAX_LISTED:
            told.append(f"and {len(faults) - MAX_LISTED:,} more: `check --images` lists all")
        super().__init__(hint=hint, folder=str(folder), faults=faults, count=len(faults), listed=told)


class UnknownSetting(UsageError):
    """A configuration key that does not exist."""

    sentence = "{source}: there is no setting {name!r}{near}"
    next_step = "`pipeline mint --help` lists them"


class NoSuch(UsageError):
    """Something was asked for that is not in this workspace."""

    sentence = "there is no {what}"


class RunDiffers(UsageError):
    """An unfinished run was planned with other arguments."""

    sentence = "an unfinished run of {collection!r} was planned with other arguments: {differences}"
    next_step = "let go of it with the verb abandon, or finish it with its own arguments: {command}"


class CollectionExists(UsageError):
    """The collection is complete; what to do beside it was not said."""

    sentence = "{collection!r} is complete with {tokens}, and this call asks for something else: {differences}"
    next_step = "`--more` adds tokens to it, `--new` starts another collection"


class NotConfirmed(UsageError):
    """Real money would be spent, and nobody said so."""

    sentence = "money on {network} counts as real: {reason} the collection's name, {collection!r}"
    next_step = "type it when asked; a script gives --name and --confirm-name; nothing was planned or spent"


class KeyRefused(UsageError):
    """A key or keystore that cannot or must not be used."""

    sentence = "{what}: {reason}"


class KeyReused(UsageError):
    """An idempotency key came back with another request."""

    sentence = "this Idempotency-Key belongs to job {job}, which was asked for something else"
    next_step = "send the request of that job again, or choose another key"


class Outdated(UsageError):
    """Somebody changes what is another by now."""

    sentence = "{what}: it is at version {now} now, and version {seen} was seen"
    next_step = "look at it as it is now, and do it again"


class ReadOnly(UsageError):
    """What cannot be changed any more."""

    sentence = "{what} cannot be changed: {reason}"


class MissingExtra(UsageError):
    """Something was asked for that belongs to an extra of the package."""

    proves_nothing = True
    sentence = "{what} needs {package}, which is not installed"
    next_step = "pip install 'nft-pipeline[{extra}]'; in a checkout scripts/setup installs all"


class BrokenPlugin(UsageError):
    """A plug-in of another package that cannot be imported, or is not what its entry point claims."""

    sentence = "{name} is a plug-in of the package {package} and cannot be used: {reason}"
    next_step = "mend {package}, install another version of it, or do without {name}"


# ── workspace ────────────────────────────────────────────────────────────────────────────────────────────────


class WorkspaceError(PipelineError):
    """The workspace folder cannot serve."""


class WorkspaceLocked(WorkspaceError):
    """Another process is writing in this workspace."""

    retryable = True
    sentence = "{path} is in use by another run{holder}"
    next_step = "wait for it to end, or use another --workspace; `pipeline status` reads without the lock"


class WorkspaceUnwritable(WorkspaceError):
    """The folder is read-only, full, or not a folder."""

    sentence = "cannot write {path}: {reason}"
    next_step = "free space or choose another --workspace, then give the same command again: it continues"


class NewerSchema(WorkspaceError):
    """The ledger was written by a newer version of this program."""

    sentence = "{path} has ledger schema {found}; this version knows {known}"
    next_step = "install the newer version that wrote it"


class LedgerRefused(WorkspaceError):
    """A database cannot keep the ledger: its version, its rights, its address, or what stands in between."""

    sentence = "{place} cannot keep the ledger: {reason}"
    next_step = "see that --ledger says the right server, database and role; the password comes from PIPELINE_POSTGRES_PASSWORD or PGPASSFILE"


class LedgerUnreachable(WorkspaceError):
    """The ledger's server does not answer, or the connection to it was lost; what was committed is there."""

    retryable = True
    proves_nothing = True
    sentence = "the ledger at {place} is out of reach: {reason}"
    next_step = (
        "see that the server runs and that --ledger says its address, then give the same command again: it continues"
    )


class ConstraintBroken(WorkspaceError):
    """A table of the ledger did not take what was to be written: what must never happen is refused there."""

    sentence = "{path} does not take this: {reason}"
    next_step = "nothing of it was written; this is a fault of the program, please report it"


class Corrupt(WorkspaceError):
    """Bytes that no longer hash to what was recorded."""

    sentence = "{what} is damaged: {reason}"
    next_step = "nothing was sent; restore it from a backup, then give the same command again"


# ── generation ───────────────────────────────────────────────────────────────────────────────────────────────


class GenerationError(PipelineError):
    """A model, its weights, a device or an image cannot be used."""


class NoModel(GenerationError):
    """A model was named that is not there: no built-in one, no plug-in, no file."""

    exit_code = 2


class NotMadeHere(GenerationError):
    """An art source makes no picture of this kind, and nothing is broken: `reason` says why."""


class NothingPasses(GenerationError):
    """A token's attempts were all refused, so that there is nothing to mint for it."""

    sentence = "token {token_id}: {attempts} attempts from number {first} on were refused: {told}"
    next_step = (
        "the tokens before it stand. If the model repeats itself, give the same command with `--duplicate-bits off` or "
        "a smaller number; if it draws nothing, mint another --model into another --workspace"
    )


# ── pinning ──────────────────────────────────────────────────────────────────────────────────────────────────


class PinError(PipelineError):
    """Content could not be stored or read back."""


class DigestMismatch(PinError):
    """Somebody gave a root or bytes that are not ours."""

    sentence = "{where} answered {got} where the content is {expected}"
    next_step = "do not trust this backend; nothing was recorded as pinned"


class BadCar(PinError):
    """A CAR that is cut, oversized, or whose blocks do not hash to their CIDs."""

    sentence = "{path} is not a sound CAR: {reason}"


class ContentMissing(PinError):
    """The chain commits to content that is not here."""

    sentence = "{folder} lacks the CARs of {roots}"
    next_step = "nothing was written; name a --gateway that has them, or put them there as <root>.car, and try again"


class PinnerUnavailable(PinError):
    """A pinning backend did not answer, or not in time."""

    retryable = True
    proves_nothing = True
    sentence = "{pinner} did not take the content: {reason}"
    next_step = "give the same command again: what is pinned stays pinned"


class OnlyClaimed(PinError):
    """A service says that it has the content, and it could not be read back yet."""

    proves_nothing = True
    sentence = "{pinner} says that it has {cid}, but it is not yet public: {reason}"
    next_step = "new content can take minutes to be found: `pipeline repin` asks again, and sends nothing that is there"


class LastPlace(PinError):
    """Content would be kept nowhere."""

    sentence = "no other place is known to keep {cid}"
    next_step = "`repin` with another --pin puts it somewhere else first; nothing was let go"


class GatewayUnavailable(PinError):
    """A gateway did not give content, or not all of it, or not in time."""

    retryable = True
    proves_nothing = True
    sentence = "{gateway} did not give {cid}: {reason}"
    next_step = "new content can take minutes to be found: try again later, or another gateway"


# ── chain ────────────────────────────────────────────────────────────────────────────────────────────────────


class ChainError(PipelineError):
    """Something between us and the chain."""


class RpcUnavailable(ChainError):
    """No usable answer from the node: refused, timed out, cut, or not JSON-RPC."""

    retryable = True
    proves_nothing = True
    sentence = "{rpc} gave no usable answer to {method}: {reason}"
    next_step = "check the address and that the node is up, then give the same command again: it continues"


class RpcError(ChainError):
    """The node answered with a JSON-RPC error: `code`, `message`, `data` (bytes of a revert, or None)."""

    sentence = "{rpc} refused {method}: {message}"


class WrongChain(ChainError):
    """The RPC URL leads to another chain than the one the ledger knows."""

    sentence = "{rpc} is another chain: {what} is {got}, the ledger has {expected}"
    next_step = "set the RPC URL of the chain this collection lives on, or use another --workspace"


class WrongNetwork(WrongChain):
    """The RPC URL leads to another chain than the one that was named."""

    sentence = "{rpc} is chain {got}, but {network} is chain {expected}"
    next_step = "give an RPC URL of {network}, or another --network; nothing was signed"


class BadRecipient(ChainError):
    """A contract that cannot hold ERC-721 tokens."""

    exit_code = 2
    sentence = "{address} is a contract that does not accept ERC-721 tokens: {reason}"
    next_step = "choose another --to; nothing was sent"


class NotOwner(ChainError):
    """Only the owner of a token can give it away."""

    exit_code = 2
    sentence = "token {token_id} belongs to {owner}, not to the signing account {account}"
    next_step = "sign with the owner's key; nothing was sent"


class SignerMismatch(ChainError):
    """A signer returned other bytes than it was asked to sign."""

    sentence = "the signer changed {field}: asked {expected}, signed {got}"
    next_step = "nothing was sent; do not use this signer"


class InsufficientFunds(ChainError):
    """The signing account cannot pay."""

    sentence = "{address} has {balance_wei} wei and needs {needed_wei}"
    next_step = "send it the difference, then give the same command again: it continues"


class AccountBusy(ChainError):
    """Other transactions of the signing account wait in the pool, sent from a wallet or another machine."""

    sentence = (
        "{address} has transactions waiting at {rpc} that this ledger does not know ({count} from nonce {nonce} on)"
    )
    next_step = (
        "let them be mined, or speed them up or cancel them in the wallet that sent them, then give the same command"
        " again: it continues. Nothing was replaced"
    )


class LimitReached(ChainError):
    """A spending or fee limit from the configuration."""

    sentence = "{limit} is {value}; this needs {needed}"
    next_step = "raise the setting or wait for lower fees, then give the same command again: it continues"


class Reverted(ChainError):
    """The contract refused: `error` is its decoded name and arguments."""

    sentence = "{what} reverted: {error}"


class ForeignTransaction(ChainError):
    """Somebody else used our key, or minted in our collection."""

    sentence = "{what}"
    next_step = "find out who holds this key; nothing more was sent"


# ── service ──────────────────────────────────────────────────────────────────────────────────────────────────


class QueueFull(PipelineError):
    """More jobs wait than the service takes on."""

    retryable = True
    sentence = "{waiting:,} jobs are waiting: no more is taken on"
    next_step = "send the same request again when some of them have ended"


# ── ended from outside ───────────────────────────────────────────────────────────────────────────────────────


class Interrupted(PipelineError):
    """Ctrl-C or SIGTERM: everything so far is recorded."""

    exit_code = 130
    sentence = "interrupted"
    next_step = "give the same command again: it continues"
