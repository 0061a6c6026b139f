"""Where a collection's pictures come from: the one seam between art and all that is done with it.

    source = open_source(settings)          # or by what a run recorded: open_source(recorded(run))
    plan = source.plan(asked)               # nothing is written; what is wrong with the art is said here
    for artwork in source.artworks(todo, work): …

Three sources are built in: `drawn`, a generator that draws each token from its seed, `existing`, a folder of images, and
`layers`, pictures that are laid over each other by counts and rules.
Others come by an entry point of the group `pipeline.art`, a function of the settings that returns an `ArtSource`, and
are chosen by its name as --model. Nobody outside this package asks which kind a source is.

A source is made at no cost: weights are loaded and files read when a method needs them. So a run that is drawn can be
pinned and minted where neither is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.base.errors import BadArgument, GenerationError, NoModel
from pipeline.base.installation import loaded
from pipeline.base.observer import Observer
from pipeline.base.records import NOTHING, Artwork, Fingerprint, Provenance, TokenSpec
from pipeline.base.seeds import token_seed
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger, Run
from pipeline.mark.credential import SourceType
from pipeline.settings import Scope, Settings, every_setting
from pipeline.settings.table import ArtSettings

if TYPE_CHECKING:
    from pipeline.art.cover import Cover
    from pipeline.art.draw import Drawing

ENTRY_POINTS = "pipeline.art"
LAYERS = "layers"  # what stands in a run, and in metadata, for the generator of tokens that are composed of layers


@dataclass(frozen=True, slots=True)
class Origin:
    """How pictures come to be, in sentences for whoever asks; `made` is the IPTC's word for it, None where nobody knows."""

    made: SourceType | None
    written: str  # what people wrote
    learned: str  # what a network learned
    data: str  # from what
    unknown: str = ""  # what nobody here can say of it


UNKNOWN = Origin(
    *(None, "Not known here.", "Not known here.", "Not known here."),
    unknown="How its pictures came to be.",
)


@dataclass(frozen=True, slots=True)
class About:
    """What a source says of a collection that begins with it, where nobody chose other words. Empty: nothing."""

    name: str = ""
    symbol: str = ""
    description: str = ""
    artist: str = ""
    cover: str = ""  # where the collection's own picture comes from, for people
    folder: str = ""  # where its files lie on this machine, for whoever sits at it
    idle: tuple[str, ...] = ()  # settings of art that have no effect on it
    origin: Callable[[str], Origin] = lambda renderer: UNKNOWN  # how pictures of a renderer come to be
    drawn_name: Callable[[int], str] | None = None  # the name where the collection's seed decides it

    def name_for(self, seed: int) -> str:
        """The name of a collection of this seed."""
        return self.drawn_name(seed) if self.drawn_name else self.name


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call wants of a source: tokens `first`, `first + 1`, … of a collection."""

    seed: int  # of the collection
    first: int
    count: int
    needs_cover: bool  # nobody gave one
    digests: Callable[[], Mapping[bytes, int]]  # token ids of the collection's images so far, by their digest
    observer: Observer
    plans: Callable[[], Sequence[str]] = tuple  # what was planned of the collection's tokens so far
    side: int = 0  # of the pictures of the collection's last run; 0: it has none


def _nothing(ledger: Ledger, collection: int) -> None:
    """Most sources have no tables of their own."""


@dataclass(frozen=True, slots=True)
class ArtPlan:
    """What a new run writes down of its art, before any of it is made."""

    fingerprint: Fingerprint
    seed_of: Callable[[int, int], int] = token_seed  # of the collection's seed and a token id
    tokens: Mapping[int, str] = field(default_factory=dict)  # by token id, what comes back as `TokenSpec.plan`
    enter: Callable[[Ledger, int], None] = _nothing  # writes a source's own rows of a collection; inside `atomic`


@dataclass(frozen=True, slots=True)
class Work:
    """A planned run, for whoever makes its pictures."""

    run: Run
    ledger: Ledger
    workspace: Workspace
    observer: Observer

    @property
    def collection(self) -> Collection:
        return self.ledger.collections.get(self.run.collection)

    def image(self, token_id: int) -> Path:
        """Where a token's picture goes; one of another kind has the same name with its own suffix."""
        return self.workspace.image(self.run.collection, token_id)


class ArtSource(Protocol):
    """Where pictures come from. What it says of itself is written in the run and holds for ever."""

    def located(self, settings: Settings) -> Settings:
        """The settings as a run remembers them: the same from wherever a folder is named."""

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        """How many tokens a call is about; None where that is for others to say. `waiting` gives the unfinished runs.

        Raises BadArgument where the source knows better than what was asked for.
        """

    def about(self) -> About:
        """Its words for a collection that begins with it."""

    def plan(self, asked: Asked) -> ArtPlan:
        """What a run would write down. Writes nothing; raises PipelineError for whatever would keep it from drawing."""

    def check(self, run: Run) -> None:
        """Raise PipelineError where it could not go on with a run: give the same pictures that the run began with."""

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        """Yield an Artwork for each, in order, once its files are whole; an Artwork among them is passed on. Who records them
        makes their files durable.

        Where all are passed on nothing is opened. A token's bytes follow from its spec and the run alone, never from
        its neighbours or from who makes it. Raises what `check` does, and PipelineError for what cannot be made.
        """

    def cover(self, work: Work) -> Cover:
        """The collection's own picture, where nobody gave one."""

    def goes_on(self, settings: Settings) -> bool:
        """Whether more tokens of a collection are made as its last ones were, which this source made.

        Raises BadArgument where they cannot be, and `settings` do not say what else they are made of.
        """

    def disliked(self) -> str:
        """A sentence: what to do with a picture that is drawn, not pinned yet, and not liked."""

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        """Raise BadArgument where a token that is not liked cannot have another picture."""

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        """What verification asks.

        Raises GenerationError where nothing can be made again here: NotMadeHere where that is as it should be.
        """


class Redrawer(Protocol):
    """Makes a picture again from its token's metadata alone."""

    weights_sha256: str
    renderer: str

    def again(self, document: Mapping[str, Any]) -> Drawing:
        """The drawing that a document's `generator` tells of; pixels are compared by who asks.

        Raises NotMadeHere for a document that does not tell it all: its seed and size may be all that somebody has.
        """


Factory = Callable[[Settings], ArtSource]


def open_source(settings: Settings) -> ArtSource:
    """The source that settings choose. Raises BrokenPlugin for one that cannot be imported."""
    if settings.art.images and settings.said_now("layers"):
        raise BadArgument(
            name="--layers", value=settings.art.layers, expected="nothing beside --images: a token is one or the other"
        )
    if settings.art.images:
        from pipeline.art.existing import Existing

        return Existing(settings)
    if settings.art.layers:
        from pipeline.art.layers.source import Layered

        return Layered(settings)
    if settings.art.model in installed():
        return _added(settings)
    from pipeline.art.drawn import Drawn

    return Drawn(settings)


def recorded(run: Run) -> Settings:
    """The settings that a run was planned with: they choose the source that it began with."""
    lines = [line.name for line in every_setting() if line.section == ArtSettings.section or line.plugin]
    given = {name: run.arguments[name] for name in lines if run.arguments.get(name, "") != ""}
    return Settings().changed(f"run {run.id}", given)


def taken_over(last: Run, settings: Settings) -> dict[str, Any]:
    """The settings of art, by name, that more tokens have from the last run; none where the call's own art says it all.

    Raises BadArgument where a call has to say what more tokens are made of.
    """
    if settings.art.images or not open_source(recorded(last)).goes_on(settings):
        return {}
    planned = {"encoder": encoder_of(last)} | last.arguments
    return {
        line.name: planned[line.name] for line in every_setting() if line.scope is Scope.ART and line.name in planned
    }


def installed() -> dict[str, EntryPoint]:
    """The sources of other packages, by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def is_here(model: str) -> bool:
    """Whether a name alone opens a source: no file of anybody's is needed."""
    from pipeline.art.drawn import is_installed

    return model in installed() or is_installed(model)


def _added(settings: Settings) -> ArtSource:
    point = installed()[settings.art.model]
    factory: Factory = loaded(point)
    return factory(settings)


# ── what a run says of its pictures for ever ─────────────────────────────────────────────────────────────────


def provenance_of(run: Run) -> Provenance | None:
    """What a token's metadata claims to draw it again with; None where nothing does."""
    if run.renderer == NOTHING:
        return None
    return Provenance(run.model, run.weights_sha256, run.renderer, run.encoder, run.size)


def encoder_of(run: Run) -> str:
    """The name of the encoder that a run was planned with: the id begins with it."""
    return run.encoder.partition("-")[0]


# ── what verification can ask ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Stated:
    """A redrawer by what a document states, or by the model that this user chose.

    A document is a stranger's: a name in it is looked up among what is installed, and never opened as a file.
    """

    settings: Settings
    runs: Sequence[Run] = ()  # of the workspace: they say where layers lie, if no setting does

    @cached_property
    def chosen(self) -> str:
        return self.settings.art.model if self.settings.given("model") else ""

    def redrawer(self, model: str, device: str) -> Redrawer:
        """For a document's model, drawn on the kind of device where that is here, unless the user chose one.

        Raises GenerationError.
        """
        if not self.chosen and model != LAYERS and not is_here(model):
            raise NoModel(reason=f"there is no model {model!r} here", hint="give its weights as --model FILE")
        source = open_source(self._settings_of(self.chosen or model))
        threads, wanted = self.settings.art.threads or None, self.settings.art.device
        if wanted != "auto" or device not in ("cpu", "cuda", "mps"):
            return source.redrawer(wanted, threads)
        try:
            return source.redrawer(device, threads)
        except GenerationError:
            return source.redrawer("auto", threads)

    def _settings_of(self, model: str) -> Settings:
        stated = {"model": model, "images": "", "layers": self._layers() if model == LAYERS else ""}
        if not self.chosen:  # the name says it all; what this user would choose for new collections is not asked
            stated |= {"voice": "", "material": "", "palettes": ""}
        return self.settings.changed("metadata", stated)

    def _layers(self) -> str:
        known = [str(run.arguments.get("layers") or "") for run in self.runs]
        folder = self.settings.art.layers or next(filter(None, reversed(known)), "")
        if not folder:
            raise GenerationError(reason="their layers are not here", hint="give their folder as --layers FOLDER")
        return folder
