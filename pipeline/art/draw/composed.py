"""The composed generator: a collection's choice of voice, law, palettes and material, and the pictures that it gives.

The choice is the generator's name, written out: `compose:braid:flat:4711:Kiln,Tide,Moss,Lido`. Whoever has the name can
draw the collection's tokens again. A name may stop early; what it leaves open is drawn from a seed, the collection's.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose import Layout
from pipeline.art.compose.chance import Chance
from pipeline.art.compose.flat import Colours, flat, inks
from pipeline.art.compose.judge import PROOF, flaw_of, layout_of, oklab
from pipeline.art.compose.palettes import KNOWN
from pipeline.art.compose.raster import pieces
from pipeline.art.compose.voice import Voice
from pipeline.art.compose.voices import EDITIONS, VOICES
from pipeline.art.draw import COMPOSED as NAME
from pipeline.art.draw import Drawing
from pipeline.art.draw.beside import Beside
from pipeline.art.draw.gates import is_blurred
from pipeline.art.draw.stage import WORKERS, check_size
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.limits import MAX_SEED
from pipeline.base.records import Attribute

FLAT = "flat"
LEARNED = {  # by rendered.py, which loads torch
    "gouache": "opaque paint, brushed: bristles, ridges, and colours dragged through what is wet",
    "wash": "transparent paint in water, with dark rims and settled grain; needs a light ground",
    "print": "relief print: carved blocks, salted ink, plates that lie a little off; needs a light ground",
    "chalk": "dry sticks on toothed paper, smeared by what comes after; glows on a dark ground",
}
MATERIALS = {FLAT: "plain ink with clean edges, drawn without a network", **LEARNED}
DRAWN = (FLAT,)  # of collections that nobody chose one for
TRANSPARENT = ("wash", "print")  # materials through which the ground is seen: on a dark one they are mud
DARK = 0.4  # lightness of a ground, in OKLab, below which it is dark
RENDERER = "compose-1"  # goes up whenever this code gives other pixels for the same choice and seed
FEWEST, MOST = 4, 6  # palettes of a collection that nobody chose any for
NEAREST, CONTRAST = 0.05, 0.3  # in OKLab: of any two colours of one's own palette, and of its ground and its contrast
WORTH_IT, LARGE = 16, 256  # drawings of one run, and their side in pixels, from which on other processes pay
LONGEST = 256  # characters of a choice's name: it is written into every token's metadata
OWN = re.compile(r"[A-Za-z0-9 _-]{1,24}=[0-9a-f]{30}")
FORM = "Name=COLOURS, five colours of six hex digits each without a space: ground, three inks, contrast"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a collection decided once."""

    voice: str
    material: str
    law: int
    palettes: tuple[str, ...]  # names, or NAME=colours of one's own

    @property
    def name(self) -> str:
        return ":".join([NAME, self.voice, self.material, str(self.law), ",".join(self.palettes)])


def written(name: str, **chosen: str) -> str:
    """A name with what was chosen beside it: voice, material and palettes.

    Raises BadArgument where the name says otherwise.
    """
    parts = [*name.split(":"), "", "", "", ""]
    for place, what in ((1, "voice"), (2, "material"), (4, "palettes")):
        value = chosen[what]
        if parts[place] and value and parts[place].lower() != value.lower():
            raise BadArgument(
                name=f"--{what}",
                value=value,
                expected=f"{parts[place]}, which --model says, or a model that leaves it open",
                hint=f"give --model {NAME}:{value}" if what == "voice" else f"give --model {NAME}",
            )
        parts[place] = value or parts[place]
    return ":".join(parts).rstrip(":")


def choice_of(name: str, seed: int = 0) -> Choice:
    """The choice that a name stands for; what it leaves open is drawn from `seed`, and does not tell it: the name stands in
    the metadata of every token, and whoever knew the collection's seed could draw those that nobody has yet.

    Raises GenerationError for a voice, a material or a palette that is not there.
    """
    chance = Chance(seed, f"{NAME}/choice")
    voice_drawn, material_drawn = chance.of(tuple(VOICES)), chance.of(DRAWN)
    parts = name.split(":")[1:]
    if len(parts) > 4:
        raise _refused(name, "it has more than four parts")
    voice, material, law, palettes = [*parts, "", "", "", ""][:4]
    found_voice = _voice(voice or voice_drawn, complete=bool(palettes))
    if law and not (law.isascii() and law.isdigit() and len(law) < 17 and int(law) <= MAX_SEED):
        raise _refused(name, f"its law {law!r} is no number up to {MAX_SEED}")
    material = known_one(material or material_drawn, MATERIALS, "material")
    chosen = tuple(palette_of(one) for one in palettes.split(",") if one)
    check_grounds(material, chosen)
    suited = found_voice.palettes or tuple(KNOWN)
    if material in TRANSPARENT:
        suited = tuple(one for one in suited if not is_dark(one)) or tuple(one for one in KNOWN if not is_dark(one))
    drawn = suited_palettes(chance, suited)
    law_drawn = Chance(seed, f"{NAME}/law").whole(0, MAX_SEED)
    found = Choice(
        found_voice.recorded,
        material,
        int(law) if law else law_drawn,
        chosen or drawn,
    )
    if len(found.name) > LONGEST:
        raise _refused(name, f"written out it has {len(found.name)} characters, {LONGEST} at most; give fewer palettes")
    return found


def suited_palettes(chance: Chance, among: Sequence[str] = tuple(KNOWN)) -> tuple[str, ...]:
    """Some of these palettes, as many as a collection has that nobody chose any for."""
    return tuple(chance.shuffled(among)[: chance.whole(FEWEST, MOST)])


def composer(name: str, seed: int = 0, device: str = "auto", threads: int | None = None) -> Composer:
    """The generator of that name. Raises GenerationError where another device than the CPU was asked for."""
    if device not in ("auto", "cpu"):
        raise GenerationError(
            reason=f"composed art is drawn on the CPU, and the device is {device!r}",
            hint="give --device cpu, or leave it out",
        )
    choice = choice_of(name, seed)
    return Composer(choice, threads) if choice.material == FLAT else LearnedComposer(choice, threads)


class Composer:
    """Draws the tokens of one choice, flat. Its numbers are whole, so the pixels are the same on every machine."""

    device = "cpu"
    dtype = "int64"
    threads = 1

    def __init__(self, choice: Choice, threads: int | None = None) -> None:
        self.choice, self.batch = choice, threads or WORKERS  # each is drawn for itself: exact, however many at once
        self._beside: Beside | None = None
        self._drawn = 0
        self.name = choice.name
        self.weights_sha256 = hashlib.sha256(
            choice.name.encode()
        ).hexdigest()  # there are no weights: the choice decides
        self.renderer = f"{RENDERER}/{choice.material}/cpu"
        self._compose = EDITIONS[choice.voice].bound(choice.law)
        self._palettes = [(one.partition("=")[0], colours_of(one)) for one in choice.palettes]

    def draw(self, seed: int, size: int) -> Drawing:
        check_size(size)
        palette, colours = Chance(seed, "palette").of(self._palettes)
        composition = self._compose(seed)
        found = pieces(composition.marks)
        pixels, proof = flat(found, colours, size), inks(found, PROOF)
        attributes = (Attribute("Palette", palette), *composition.attributes)
        flaw = flaw_of(proof, colours) or ("blurred" if is_blurred(pixels) else "")
        return Drawing(seed, pixels, attributes, flaw, layout_of(proof))

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """What `draw` gives for each seed; once so many were drawn that it is worth it, by processes on every core."""
        self._drawn += len(seeds)
        if self._beside is None and (self._drawn <= WORTH_IT or size < LARGE):
            return [self.draw(seed, size) for seed in seeds]
        if self._beside is None:
            self._beside = Beside(self.name, self.batch)
        return self._beside.draw(seeds, size)

    def layout(self, seed: int) -> NDArray[np.float32]:
        """What `draw` says of it, without a picture."""
        return layout_of(inks(pieces(self._compose(seed).marks), PROOF))


class LearnedComposer(Composer):
    """Draws the tokens of one choice in a learned material. The same bytes at any number of threads."""

    dtype = "float32"

    def __init__(self, choice: Choice, threads: int | None = None) -> None:
        from pipeline.art.draw import rendered

        super().__init__(choice, threads)
        self._rendering = rendered.Rendering(threads)
        self.threads = self.batch = self._rendering.threads
        self._pictures = ThreadPoolExecutor(self.threads, "picture")
        told = f"{choice.name}\0{self._rendering.weights_sha256}"
        self.weights_sha256 = hashlib.sha256(told.encode()).hexdigest()  # the choice and the weights decide
        self.renderer = f"{rendered.RENDERER}/{choice.material}/cpu"

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """What `draw` gives for each seed, in as many threads as it may use: a picture of one tile occupies one of them."""
        return list(self._pictures.map(lambda seed: self.draw(seed, size), seeds))

    def draw(self, seed: int, size: int) -> Drawing:
        check_size(size)
        palette, colours = Chance(seed, "palette").of(self._palettes)
        composition, material = self._compose(seed), self.choice.material
        layout = Layout(composition)
        proof = inks(layout.pieces, PROOF)
        pixels, sound = self._rendering.picture(layout, material, self.choice.law, seed, colours, size)
        attributes = (
            Attribute("Palette", palette),
            Attribute("Material", material.capitalize()),
            *composition.attributes,
        )
        flaw = flaw_of(proof, colours) or ("blurred" if is_blurred(pixels) else "")
        return Drawing(seed, pixels, attributes, flaw if sound else "not finite", layout_of(proof))


def colours_of(palette: str) -> Colours:
    """The five colours of a palette's name, or of NAME=colours."""
    _, own, colours = palette.partition("=")
    levels = bytes.fromhex(colours if own else KNOWN[palette])
    return list(zip(levels[0::3], levels[1::3], levels[2::3], strict=True))


def _voice(text: str, complete: bool) -> Voice[Any]:
    """The voice of that name: its newest edition, unless a name that is written out says another.

    One that is written out and names no edition is of a collection that was begun with the first.
    """
    if complete and text in EDITIONS:
        return EDITIONS[text]
    name, _, edition = text.partition(".")
    known = known_one(name, VOICES, "voice")
    if edition and f"{known}.{edition}" not in EDITIONS:
        raise GenerationError(
            reason=f"there is no edition {edition!r} of the voice {known!r}",
            hint=f"write {known}, or update this package",
        )
    return EDITIONS[f"{known}.{edition}"] if edition else VOICES[known]


def is_dark(palette: str) -> bool:
    """Whether the ground of a palette is too dark to be seen through."""
    return bool(oklab(np.array(colours_of(palette)[:1], np.float64) / 255)[0, 0] < DARK)


def check_grounds(material: str, palettes: tuple[str, ...]) -> None:
    dark = next((one for one in palettes if material in TRANSPARENT and is_dark(one)), None)
    if dark is not None:
        light = ", ".join([one for one in KNOWN if not is_dark(one)][:5])
        raise GenerationError(
            reason=f"{material} needs a light ground, and that of the palette {dark.partition('=')[0]!r} is dark",
            hint=f"choose light ones, such as {light}, or give --material flat, gouache or chalk",
        )


def palette_of(text: str) -> str:
    """A palette as it is recorded. Raises GenerationError for one that is neither known nor five colours."""
    if "=" not in text:
        return known_one(text, KNOWN, "palette")
    if not OWN.fullmatch(text):
        raise GenerationError(reason=f"{text!r} is no palette", hint=f"write {FORM}")
    name = text.partition("=")[0]
    if taken := next((known for known in KNOWN if known.lower() == name.strip().lower()), None):
        raise GenerationError(
            reason=f"the palette {name!r} has the name of one that is here: a trait must say which it is",
            hint=f"call yours otherwise, or choose {taken} as it is",
        )
    _must_be_told_apart(name, text)
    return text


def _must_be_told_apart(name: str, palette: str) -> None:
    """Raises GenerationError for two colours that are nearly one, and for a contrast that is none."""
    colours = colours_of(palette)
    places = oklab(np.array(colours, np.float64) / 255)
    for (i, one), (j, other) in combinations(enumerate(places), 2):
        away, least = float(np.sqrt(((one - other) ** 2).sum())), CONTRAST if (i, j) == (0, 4) else NEAREST
        if away < least:
            what = "ground and contrast" if least == CONTRAST else "two of its colours"
            told = " and ".join(bytes(colours[k]).hex() for k in (i, j))
            raise GenerationError(
                reason=f"in the palette {name!r} {what} are too close: {told} differ by {away:.2f}",
                hint=f"take colours that differ by {least} or more in OKLab, where black and white differ by 1",
            )


def known_one(name: str, among: Iterable[str], what: str) -> str:
    names = list(among)
    found = next((one for one in names if one.lower() == name.lower()), None)
    if found is None:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
        raise GenerationError(reason=f"there is no {what} {name!r}", hint=hint)
    return found


def _refused(name: str, reason: str) -> GenerationError:
    return GenerationError(
        reason=f"cannot read the choice {name!r}: {reason}", hint=f"write {NAME}:VOICE, or only {NAME}"
    )
