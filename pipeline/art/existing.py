"""Art that exists already, as a source: the images of a folder, each with the words beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.art.folder import ImageFolder, copied
from pipeline.art.source import UNKNOWN, About, ArtPlan, Asked, Redrawer, Work
from pipeline.base.errors import BadArgument, NotMadeHere
from pipeline.base.records import NOTHING, Artwork, BatchPlan, Fingerprint, Found, TokenSpec
from pipeline.base.untrusted import printable
from pipeline.ledger import Ledger, Run
from pipeline.settings import Scope, Settings
from pipeline.settings.table import ArtSettings, table_of

if TYPE_CHECKING:
    from pipeline.art.cover import Cover

_IDLE = tuple(  # nothing is drawn
    line.name for line in table_of(ArtSettings) if line.scope in (Scope.ART, Scope.GATE, Scope.MACHINE)
)
MODEL = "images"  # what stands in a run for the generator that it has not

_EXISTED = replace(UNKNOWN, unknown="How its pictures came to be: they existed before they were minted.")


class Existing:
    """The folder that settings name. It is listed when something asks for what is in it, and read when it is planned."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = Path(settings.art.images).resolve()

    @cached_property
    def _folder(self) -> ImageFolder:
        return ImageFolder(str(self._path), editions=self._settings.art.editions)

    def located(self, settings: Settings) -> Settings:
        return settings.changed(settings.source("images"), {"images": str(self._path)})

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        """The folder's number of tokens; where it is gone, that of the unfinished run which was planned from it."""
        if not self._path.exists():
            for run in waiting():
                if run.arguments.get("images") == str(self._path):
                    return asked or run.count
        return self._folder.count(asked)

    def about(self) -> About:
        said = self._folder.about() if self._path.exists() else About()  # what is minted of it needs it no more
        return replace(said, folder=str(self._path), idle=_IDLE, origin=lambda renderer: _EXISTED)

    def plan(self, asked: Asked) -> ArtPlan:
        folder, observer = self._folder, asked.observer
        number = len(folder.tokens)
        observer.notice(f"reading {number:,} image{'s' if number != 1 else ''} in {folder.path}")
        found = folder.read(asked.digests(), asked.first, observer, covers=asked.needs_cover)

        def enter(ledger: Ledger, collection: int) -> None:
            ledger.tokens.plan_found(collection, dict(enumerate(found, asked.first)))

        return ArtPlan(taken_from((one.sha256 for one in found), self._settings.art.size), enter=enter)

    def check(self, run: Run) -> None:
        """Each file is held against its digest as it is taken: only those that are still missing have to be there."""

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        """Take what is missing from the files that were planned; one that is another now, and not pinned yet, is planned anew."""
        if anew := self._changed(work):
            for token_id, one in anew.items():
                told = f"{printable(one.source.name)} or its JSON has changed since it was looked at"
                work.observer.notice(f"{told}: token {token_id} is planned anew")
            work.ledger.tokens.replan_found(work.run.collection, anew)

        def found(token_id: int) -> Found:
            return work.ledger.tokens.found(BatchPlan(0, token_id, 1), work.run.collection)[token_id]

        yield from copied(todo, found, work.image(1).parent)

    def _changed(self, work: Work) -> dict[int, Found]:
        """The tokens whose files are others than planned, among those that are not pinned yet."""
        run, ledger = work.run, work.ledger
        unpinned = ledger.batches.undrawn(run.id)
        planned = {key: one for plan in unpinned for key, one in ledger.tokens.found(plan, run.collection).items()}
        if not planned or not self._path.is_dir():
            return {}
        try:
            folder = self._folder
        except BadArgument:  # emptied since: what was copied of it stands, and what was not is missed by its name
            return {}
        return folder.changed(planned, run.start) if len(folder.tokens) == run.count else {}

    def cover(self, work: Work) -> Cover:
        return self._folder.cover()

    def goes_on(self, settings: Settings) -> bool:
        """A folder has no more than it had: a call names another, or says --model to have the new ones drawn."""
        if not settings.said_now("model"):
            raise BadArgument(
                name="--images",
                value="",
                expected="a folder: the tokens of this collection so far are pictures that existed",
                hint="name the folder of the new ones, or say --model to have them drawn",
            )
        return False

    def disliked(self) -> str:
        return "put another file in the place of a picture that you do not like: `reject` with the token's id takes it again."

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        """A picture that is not liked is replaced in the folder, and then taken again."""
        changed = self._changed(work)
        for token_id in token_ids:
            if token_id not in changed:
                raise BadArgument(
                    name="token id",
                    value=token_id,
                    expected=f"a token whose file in {self._path} is another one now",
                    hint="put another picture in its place, and reject it again",
                )

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        raise NotMadeHere(reason="images that existed cannot be drawn again", hint="leave --images out")


def taken_from(digests: Iterable[bytes], size: int) -> Fingerprint:
    """What a run remembers of images that existed: a digest over the digests of all of them."""
    digest = hashlib.sha256(b"".join(digests)).hexdigest()
    return Fingerprint(MODEL, digest, NOTHING, NOTHING, size)


def found_again(artwork: Artwork) -> Found:
    """What was planned of an image that existed, by its artwork: the workspace's copies stand for the files it was in."""
    words, moving = artwork.words, artwork.animation
    return Found(
        source=artwork.path,
        sha256=artwork.image_sha256,
        suffix=artwork.path.suffix,
        pixel_sha256=artwork.pixel_sha256,
        phash=artwork.phash,
        name=words.name,
        description=words.description,
        attributes=artwork.attributes,
        external_url=words.external_url,
        background_color=words.background_color,
        youtube_url=words.youtube_url,
        animation=artwork.path.with_suffix(moving.suffix) if moving else None,
        animation_sha256=moving.sha256 if moving else None,
        animation_url=words.animation_url,
    )
