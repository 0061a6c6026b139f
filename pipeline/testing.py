"""Small real parts for tests: ours, and those of a plug-in's author. `docs/plugins.md` shows them at work.

TinyGenerator     a generator whose picture is its seed's colour noise: no weights, no torch, a millisecond each
TinyArt           an art source of the same pictures, as `--model` of the group `pipeline.art`
MemoryPinner      a place that remembers what it was given, and fails as it is told to
local_chain       an embedded chain in a folder, for a block; `chain_fixture` makes a pytest fixture of one
install_plugin    a package beside ours, as pip would have installed it
check_generator, check_pinner   what we rely on, tried; an AssertionError says what does not hold
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.art.cover import Cover
from pipeline.art.draw import Drawing, phash
from pipeline.art.draw.encode import encode_png, encoder_id
from pipeline.art.source import About, ArtPlan, Asked, Redrawer, Work
from pipeline.base.errors import BadArgument, ContentMissing, PinError
from pipeline.base.files import write_whole
from pipeline.base.records import Artwork, Attribute, Fingerprint, PinnedRoot, TokenSpec, TokenWords
from pipeline.mint.devnet import devnet
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.art.draw import Generator
    from pipeline.ledger import Run
    from pipeline.pin import Pinner, Rung

__all__ = [
    "MemoryPinner",
    "TinyArt",
    "TinyGenerator",
    "chain_fixture",
    "check_generator",
    "check_pinner",
    "install_plugin",
    "local_chain",
]

TINY = "tiny-1"
CODE = hashlib.sha256(TINY.encode()).hexdigest()


def noise(seed: int, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) coloured noise: no two seeds are alike, to no perceptual hash."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


# ── art ──────────────────────────────────────────────────────────────────────────────────────────────────────


class TinyGenerator:
    """A generator, and the factory of one for an entry point `tiny`. `drawn` has the seeds that it was asked for."""

    name, weights_sha256, renderer, dtype = "tiny", CODE, TINY, "uint8"

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        self.device, self.threads = "cpu", 1  # whatever was asked for: it is the same everywhere
        self.drawn: list[int] = []

    def draw(self, seed: int, size: int) -> Drawing:
        self.drawn.append(seed)
        return Drawing(seed, noise(seed, size), (Attribute("Tone", seed % 7),))


class TinyArt:
    """An art source for an entry point `tinyart`, without a gate, a file or a setting of its own: what the protocol asks."""

    def __init__(self, settings: Settings) -> None:
        self._size = settings.art.size

    def located(self, settings: Settings) -> Settings:
        return settings

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        return asked

    def about(self) -> About:
        return About(name="Tiny", symbol="TINY", description="Noise.", cover="the noise of seed 0")

    def plan(self, asked: Asked) -> ArtPlan:
        return ArtPlan(Fingerprint("tinyart", CODE, TINY, _encoder(), self._size))

    def check(self, run: Run) -> None:
        if run.renderer != TINY:
            raise BadArgument(name="tiny", value=TINY, expected=run.renderer)

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        for item in todo:
            yield item if isinstance(item, Artwork) else _made(item, work.run.size, work.image(item.token_id))

    def cover(self, work: Work) -> Cover:
        return Cover(encode_png(noise(0, work.run.size)), ".png")

    def goes_on(self, settings: Settings) -> bool:
        return True

    def disliked(self) -> str:
        return "a picture that you do not like stays: a seed has one noise."

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        raise BadArgument(name="token id", value=token_ids[0], expected="nothing: a seed has one noise")

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        return _TinyRedrawer()


class _TinyRedrawer:
    weights_sha256, renderer = CODE, TINY

    def again(self, document: Mapping[str, Any]) -> Drawing:
        made = document["generator"]
        return TinyGenerator().draw(made["seed"], made["size"])


def _encoder() -> str:
    return encoder_id("pillow")


def _made(spec: TokenSpec, size: int, path: Path) -> Artwork:
    drawing = TinyGenerator().draw(spec.seed, size)
    data = encode_png(drawing.pixels)
    write_whole(path, data)
    return Artwork(
        token_id=spec.token_id,
        seed=spec.seed,
        path=path,
        image_sha256=hashlib.sha256(data).digest(),
        pixel_sha256=hashlib.sha256(drawing.pixels.tobytes()).digest(),
        image_bytes=len(data),
        attributes=drawing.attributes,
        phash=phash(drawing.pixels),
        words=TokenWords(name=f"Tiny {spec.token_id}"),
    )


def check_generator(generator: Generator, size: int = 32, seeds: Sequence[int] = (1, 2, 7)) -> None:
    """Try what a token relies on: a seed alone decides its picture, whatever was drawn before it, and at every size."""
    first = {seed: generator.draw(seed, size) for seed in seeds}
    for seed in reversed(seeds):
        again, known = generator.draw(seed, size), first[seed]
        assert again.pixels.shape == (size, size, 3), f"seed {seed}: {again.pixels.shape}, expected {(size, size, 3)}"
        assert str(again.pixels.dtype) == "uint8", f"seed {seed}: {again.pixels.dtype}, expected uint8"
        assert (again.pixels == known.pixels).all(), f"seed {seed} gave another picture in another order"
        assert again.attributes == known.attributes, f"seed {seed} gave other attributes in another order"
        assert generator.draw(seed, 2 * size).attributes == known.attributes, (
            f"seed {seed}: traits change with the size"
        )
    assert len({drawing.pixels.tobytes() for drawing in first.values()}) == len(seeds), "two seeds gave one picture"
    assert len(generator.weights_sha256) == 64, "weights_sha256 is no SHA-256 in hex"
    assert generator.name and generator.renderer, "a generator has a name, and a renderer that changes with its pixels"


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────


class MemoryPinner:
    """A place that remembers roots and names; `failures` are raised first, one at each pin, and `always` at each."""

    def __init__(self, name: str = "memory", *failures: Exception, always: Exception | None = None) -> None:
        self.name, self.failures, self.always = name, list(failures), always
        self.pinned: dict[PinnedRoot, str] = {}  # in the order of their pins

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        assert car.is_file(), f"{car} is not there"
        if self.failures:
            raise self.failures.pop(0)
        if self.always:
            raise self.always
        self.pinned[root] = name

    def unpin(self, root: PinnedRoot) -> None:
        self.pinned.pop(root, None)

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        def climb() -> str:
            if root not in self.pinned:
                raise ContentMissing(folder=self.name, roots=str(root.cid))
            return f"pinned as {self.pinned[root]!r}"

        return [("remembered", climb)]

    def check(self, root: PinnedRoot) -> None:
        for _, climb in self.rungs(root):
            climb()


def check_pinner(pinner: Pinner, folder: Path) -> None:
    """Try what a run relies on: what is pinned can be proved, twice is as once, and what is let go of is not missed."""
    store = CarStore(folder)
    root = store.put_directory([("1.json", b'{"name":"one"}'), ("2.json", b'{"name":"two"}')])
    pinner.unpin(root)  # harmless where it is not kept
    for _ in range(2):
        pinner.pin(store.path(root.cid), root, "check")
        pinner.check(root)
        told = [climb() for _, climb in pinner.rungs(root)]
        assert all(isinstance(words, str) for words in told), "a rung says what was found"
    pinner.unpin(root)
    try:
        pinner.check(root)
    except PinError:
        return
    raise AssertionError(f"{pinner.name} proves a root that it has let go of")


# ── chains and packages ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def local_chain(folder: Path) -> Iterator[str]:
    """The RPC URL of an embedded chain (Anvil) in `folder`, while the block runs; its accounts have money of their own."""
    with devnet(folder) as url:
        yield url


def chain_fixture(scope: str = "session") -> Any:
    """A pytest fixture that gives such a URL: `chain = pipeline.testing.chain_fixture()` in a conftest.py."""
    import pytest

    @pytest.fixture(scope=scope)  # type: ignore[call-overload, untyped-decorator, unused-ignore]
    def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        with local_chain(tmp_path_factory.mktemp("chain")) as url:
            yield url

    return chain


def install_plugin(
    folder: Path, name: str, source: str, entry: str, group: str = "pipeline.generators", **more: str
) -> Path:
    """Write `source` as module `name` whose `entry` is what `group` has by that name; the folder to put on the path.

    `more` names what the groups `pipeline.…` have of it beside that: `settings="Mine"`.
    """
    points = {group: entry} | {f"pipeline.{other}": added for other, added in more.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    installed = folder / f"{name}-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = [f"[{where}]\n{name} = {name}:{what}\n" for where, what in points.items()]
    (installed / "entry_points.txt").write_text("".join(lines))
    return folder
