"""Every setting in one table: a section is a frozen dataclass, a setting one of its fields.

From a setting's line follow its flag, its variable, its place in `pipeline.toml`, what a request to the service may say,
and from its scope what a run remembers of it, what `--more` takes from the collection, and when it has no effect.
No section can hold a value that its settings refuse. Secrets are no settings: they come from the environment
(`PIPELINE_KEYSTORE_PASSWORD`, …), the keyring, or a prompt, and are never shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Literal, TypeVar

from pipeline.base.errors import BadArgument
from pipeline.base.limits import (
    MAX_BATCH,
    MAX_DESCRIPTION,
    MAX_ROYALTY_BPS,
    MAX_SEED,
    MAX_SIDE,
    MAX_STATEMENT,
    MAX_TEXT,
    MAX_TOKEN_ID,
    MIN_SIDE,
)
from pipeline.base.secrets import shown_url
from pipeline.base.words import Expected
from pipeline.settings.forms import (
    Form,
    account,
    database,
    decimal,
    label,
    listed,
    one_of,
    or_empty,
    or_none,
    or_off,
    page,
    prose,
    recipient,
    server,
    site,
    switch,
    terms,
    whole,
    words,
    workers,
)

T = TypeVar("T")

PREFIX = "PIPELINE_"


class Scope(Enum):
    """What a setting belongs to. Its value is the heading of its group in `--help`."""

    WORKSPACE = "where everything is kept"
    NAME = "which collection"
    COLLECTION = "the collection, fixed when its contract is deployed"
    ART = "the art; --more takes it from the collection"
    RUN = "this run, fixed when it is planned"
    GATE = "what is drawn again"
    MACHINE = "this machine"
    PLACE = "where content is kept"
    PROOF = "how much proof is asked for"
    NODE = "the chain"
    KEY = "the signing account"
    SIGNATURE = "who signs files"
    LIMIT = "the most that is spent"
    SHOW = "the show, as others find it"


REMEMBERED = frozenset({Scope.NAME, Scope.COLLECTION, Scope.ART, Scope.RUN})  # by a run: other values are another run
IDLE_WHEN_DONE = frozenset({Scope.GATE, Scope.MACHINE, Scope.PROOF, Scope.LIMIT})  # a finished run has no use for them
STANDING = frozenset(  # what the next command needs as well: it says where, not what
    {Scope.WORKSPACE, Scope.NAME, Scope.MACHINE, Scope.PLACE, Scope.NODE, Scope.KEY, Scope.SIGNATURE, Scope.LIMIT}
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table."""

    section: str
    field: str  # of the section; with the section's name in front of it where a plug-in declares it: see `name`
    form: Form[Any]
    default: Any
    help: str
    scope: Scope
    remote: Form[Any] | None  # what a request to the service may say of it: no file and no server of this machine
    plugin: bool = False

    @property
    def name(self) -> str:
        return f"{self.section.replace('-', '_')}_{self.field}" if self.plugin else self.field

    @property
    def key(self) -> str:
        return f"{self.section}.{self.field}" if self.section else self.field

    @property
    def tells_art(self) -> bool:
        """Whether it says what pictures come from: a built-in source's, or that of a source which somebody installed."""
        return self.section == ArtSettings.section or self.plugin

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def read(self, value: str, source: str) -> Any:
        """Raises BadArgument, saying which source holds the bad value."""
        try:
            return self.form.read(value)
        except Expected as expected:
            # An address that cannot be read may still hold its key, wherever that stands in it.
            shown = shown_url(value) if self.form.hint == "URL" else value if len(value) <= 80 else f"{value[:80]}…"
            raise BadArgument(name=source, value=shown, expected=str(expected)) from None

    def said(self, value: Any) -> str:
        return str(self.form.say(value))


def setting(form: Form[T], default: T, help: str, scope: Scope, *, remote: bool | Form[Any] = False) -> T:
    """A field of a section that can be set; for plug-ins as well."""
    said = (form if remote else None) if isinstance(remote, bool) else remote
    return field(default=default, metadata={"setting": (form, help, scope, said)})


@dataclass(frozen=True, slots=True)
class Section:
    """Base of all sections. One that breaks a rule cannot be made: BadArgument names the setting."""

    section: ClassVar[str] = ""
    secrets: ClassVar[tuple[str, ...]] = ()  # names of tokens that come from the environment: `mine_token`

    def __post_init__(self) -> None:
        for line in table_of(type(self)):
            value = getattr(self, line.field)
            if value == line.default:
                continue  # it may say what nobody can: that a collection has the name of its art
            object.__setattr__(self, line.field, line.read(line.said(value), line.key))


def table_of(kind: type[Section], *, plugin: bool = False) -> tuple[Setting, ...]:
    """The settings of a section, in the order of its fields."""
    return tuple(
        Setting(kind.section, entry.name, form, entry.default, help, scope, remote, plugin)
        for entry in fields(kind)
        if "setting" in entry.metadata
        for form, help, scope, remote in [entry.metadata["setting"]]
    )


@dataclass(frozen=True, slots=True)
class Here(Section):
    """What a call is about before anything else; it stands at the top of `pipeline.toml`."""

    workspace: str = setting(words("DIR"), "workspace", "folder that keeps everything", Scope.WORKSPACE)
    ledger: str = setting(
        or_empty(database()),
        "",
        "database at a PostgreSQL server that keeps the ledger; empty: a file in the folder",
        Scope.WORKSPACE,
    )


@dataclass(frozen=True, slots=True)
class CollectionSettings(Section):
    """What the contract and the collection's metadata say."""

    section = "collection"
    name: str = setting(
        label(), "", "name of the collection, 1 to 31 bytes; unless given, its art's own", Scope.NAME, remote=True
    )
    symbol: str = setting(
        or_empty(label()), "", "ticker, 1 to 31 bytes; empty: made from the name", Scope.COLLECTION, remote=True
    )
    description: str = setting(
        or_empty(prose(MAX_DESCRIPTION)),
        "",
        "text for marketplaces; empty: the statement, or the name",
        Scope.COLLECTION,
        remote=True,
    )
    artist: str = setting(
        or_empty(label(MAX_TEXT)), "", "whose work it is; stands in all metadata", Scope.COLLECTION, remote=True
    )
    statement: str = setting(
        *(or_empty(prose(MAX_STATEMENT)), "", "the artist's own words about the collection", Scope.COLLECTION),
        remote=True,
    )
    licence: str = setting(
        or_empty(terms()), "", "terms of use: SPDX name, or address of the text", Scope.COLLECTION, remote=True
    )
    external_url: str = setting(or_empty(page()), "", "the project's page", Scope.COLLECTION, remote=True)
    royalty_bps: int = setting(
        *(whole(0, MAX_ROYALTY_BPS), 500, "ERC-2981 royalty, hundredths of a percent", Scope.COLLECTION), remote=True
    )
    royalty_receiver: str = setting(
        or_empty(account()), "", "who gets royalties; empty: the owner", Scope.COLLECTION, remote=True
    )
    cover: str = setting(
        words("FILE"), "", "image file for the collection; empty: drawn by the model", Scope.COLLECTION
    )
    max_supply: int = setting(
        whole(0, MAX_TOKEN_ID), 0, "greatest number of tokens ever; 0: no maximum", Scope.COLLECTION, remote=True
    )


@dataclass(frozen=True, slots=True)
class ArtSettings(Section):
    """Where the pictures come from."""

    section = "art"
    images: str = setting(words("FOLDER"), "", "mint the images of a folder, with JSON beside them or not", Scope.RUN)
    layers: str = setting(
        words("FOLDER"), "", "compose tokens of a folder of layers: ours, HashLips' or nftchef's", Scope.ART
    )
    editions: bool = setting(switch(), False, "the folder may hold one picture for several tokens", Scope.RUN)
    model: str = setting(words("NAME|FILE"), "compose", "generator: a built-in name or a checkpoint file", Scope.ART)
    collapsed: bool = setting(
        switch(), False, "draw even with weights whose training collapsed: their pictures are all alike", Scope.ART
    )
    voice: str = setting(
        words("NAME"), "", "composed art: its voice, see `pipeline voices`; empty: drawn", Scope.ART, remote=True
    )
    material: str = setting(words("NAME"), "", "composed art: its material; empty: drawn", Scope.ART, remote=True)
    palettes: str = setting(
        *(
            or_empty(listed("NAME,…")),
            "",
            "composed art: its palettes, own ones as NAME=30 hex digits or of [palettes]; empty: drawn",
        ),
        *(Scope.ART,),
        remote=True,
    )
    size: int = setting(
        whole(MIN_SIDE, MAX_SIDE, "PX"), 1024, "width and height of the artworks in pixels", Scope.ART, remote=True
    )
    seed: int | None = setting(
        *(or_none(whole(0, MAX_SEED, "INT")), None, "seed of the collection; empty: drawn at random"),
        *(Scope.COLLECTION,),
        remote=True,
    )
    proofs: int = setting(
        whole(1, 8), 1, "attempts of each token of which the judge takes the best, see `pipeline judge`", Scope.ART
    )
    device: str = setting(words("NAME"), "auto", "cpu, cuda, cuda:1, mps; auto: the best there is", Scope.MACHINE)
    threads: int = setting(whole(0, 1024), 0, "CPU threads of the generator; 0: one for each core", Scope.MACHINE)
    workers: str = setting(
        or_empty(workers()),
        "",
        "who draws: ray:local, or a Ray cluster's ray://HOST:PORT; empty: this process",
        Scope.MACHINE,
    )
    trust_workers: bool = setting(
        switch(), False, "the cluster's network is yours alone: it is reached without TLS", Scope.MACHINE
    )
    encoder: str = setting(one_of("pillow", "fpng"), "pillow", "PNG: pillow; fpng: fast, larger files", Scope.ART)
    watermark: Literal["auto", "yes", "no"] = setting(
        one_of("auto", "yes", "no"),
        "auto",
        "collection and token hidden in the pixels; auto: where learned matter is drawn",
        Scope.ART,
        remote=True,
    )
    duplicate_bits: int | None = setting(
        or_off(whole(0, 16)), 4, "tokens whose hashes differ in no more of 63 bits are drawn again", Scope.GATE
    )


@dataclass(frozen=True, slots=True)
class MarkSettings(Section):
    """What files say of themselves, signed."""

    section = "mark"
    certificate: str = setting(
        words("FILE"),
        "",
        "sign every drawn file with this certificate; `pipeline certificate new` makes one",
        Scope.SIGNATURE,
    )


@dataclass(frozen=True, slots=True)
class PinSettings(Section):
    """Where content is kept."""

    section = "pin"
    pin: str = setting(
        *(listed("NAME,…"), "embedded", "where content is pinned: embedded, kubo, psa, filebase, pinata"), Scope.RUN
    )
    quorum: int = setting(whole(0, 16), 0, "how many of these places must prove that they have it; 0: all", Scope.PROOF)
    ipfs_api: str = setting(words("ADDRESS"), "/ip4/127.0.0.1/tcp/5001", "Kubo RPC, multiaddr or http URL", Scope.PLACE)
    psa_url: str = setting(or_empty(server()), "", "endpoint of an IPFS pinning service (psa)", Scope.PLACE)
    psa_origins: str = setting(
        or_empty(listed("ADDRESS,…")), "", "multiaddrs that this service may fetch from", Scope.PLACE
    )
    s3_endpoint: str = setting(
        server(), "https://s3.filebase.com", "S3 service that imports CARs (filebase)", Scope.PLACE
    )
    s3_bucket: str = setting(words("NAME"), "", "bucket on IPFS that the CARs go into (filebase)", Scope.PLACE)
    pinata_url: str = setting(or_empty(server()), "", "empty: Pinata itself (untested against it)", Scope.PLACE)
    gateway: str = setting(or_empty(server()), "", "gateway that content at services is read back through", Scope.PLACE)

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the pinners."""
        return tuple(self.pin.split(","))


@dataclass(frozen=True, slots=True)
class ChainSettings(Section):
    """Which chain, and who signs."""

    section = "chain"
    chain: Literal["anvil", "ganache"] = setting(one_of("anvil", "ganache"), "anvil", "embedded chain", Scope.NODE)
    rpc_url: str = setting(or_empty(server()), "", "a chain of your own; empty: the embedded one", Scope.NODE)
    network: str = setting(words("NAME"), "", "the chain that the RPC URL must lead to; empty: any testnet", Scope.NODE)
    keystore: str = setting(words("FILE"), "", "keystore file of the signing account", Scope.KEY)
    signer_url: str = setting(or_empty(server()), "", "a signer of your own that answers JSON-RPC", Scope.KEY)
    signer_address: str = setting(or_empty(account()), "", "the account that this signer signs for", Scope.KEY)
    confirmations: int = setting(
        *(whole(1, 1_000), 1, "blocks until a token counts as minted; unless given, the network's", Scope.PROOF)
    )


@dataclass(frozen=True, slots=True)
class MintSettings(Section):
    """Who gets the tokens, and what may be spent."""

    section = "mint"
    to: str = setting(
        *(recipient(), "", "recipient, or a CSV of address,count; empty: the signing account", Scope.RUN),
        remote=account(),
    )
    batch: int = setting(
        *(whole(0, MAX_BATCH), 0, "tokens per transaction; 0: 50, or 500 above 500 tokens", Scope.RUN), remote=True
    )
    max_fee_gwei: str = setting(decimal("GWEI"), "200", "never pay more per gas than this", Scope.LIMIT)
    max_transaction_eth: str = setting(
        decimal("ETH"), "0.5", "never risk more on one transaction than this", Scope.LIMIT
    )
    max_run_eth: str = setting(decimal("ETH"), "2", "never risk more on one run than this", Scope.LIMIT)
    max_day_eth: str = setting(decimal("ETH"), "5", "never risk more in 24 hours than this", Scope.LIMIT)


@dataclass(frozen=True, slots=True)
class ShowSettings(Section):
    """How the gallery, or its folder, is found by others."""

    section = "show"
    title: str = setting(or_empty(label(MAX_TEXT)), "", "name of the show; empty: its artist's name", Scope.SHOW)
    url: str = setting(
        *(or_empty(site(whole=True)), "", "where others find it, https://NAME: links and previews say so", Scope.SHOW)
    )
    gateway_url: str = setting(
        *(or_empty(site(whole=False)), "", "the gateway that links to content name, for others", Scope.SHOW)
    )


SECTIONS: tuple[type[Section], ...] = (
    Here,
    CollectionSettings,
    ArtSettings,
    MarkSettings,
    PinSettings,
    ChainSettings,
    MintSettings,
    ShowSettings,
)
SETTINGS: tuple[Setting, ...] = tuple(line for kind in SECTIONS for line in table_of(kind))
OLD_SECTIONS = {"generate": "art"}  # names that a `pipeline.toml` of 0.1 has


def near(name: str, known: Iterable[str]) -> str:
    """A sentence's end that names what was probably meant, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
