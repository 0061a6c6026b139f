"""An image drawn again from what its metadata says, and compared pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.art.draw.encode import ENCODERS, encode_png, encoder_id
from pipeline.art.draw.marking import unmarked_renderer
from pipeline.art.source import Stated
from pipeline.base.errors import PipelineError
from pipeline.base.limits import MAX_SEED, MAX_SIDE, MIN_SIDE
from pipeline.base.pictures import BadPicture, decode, flat, measure
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger, Run
from pipeline.mark.credential import is_signed, unsigned
from pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.art.draw import Drawing
    from pipeline.art.source import Redrawer

# What other devices and torch builds may change (class B): rounding moves a few pixels by a level. Anything beyond is
# another picture.
NEAR = 2  # levels of 255
NEAR_SHARE = 0.999  # of the pixels
FAR = 16  # levels, for any pixel

_WEIGHTS = "give the weights as --model FILE"
_NEEDED = {"model": str, "weights_sha256": str, "renderer": str, "encoder": str, "seed": int, "size": int}


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two pictures of one size are apart: a pixel's difference is that of its channel that differs most."""

    pixels: int
    different: int  # pixels that are not equal
    beyond_near: int  # pixels that differ by more than NEAR levels
    largest: int  # levels

    @property
    def within_bounds(self) -> bool:
        return self.largest <= FAR and self.beyond_near <= self.pixels * (1 - NEAR_SHARE)

    def __str__(self) -> str:
        near = 100 * (1 - self.beyond_near / self.pixels)
        return (
            f"{self.different:,} of {self.pixels:,} pixels differ, by {self.largest} levels at most; "
            f"{near:.4f} % are within {NEAR}"
        )


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Distance:
    """The distance of two arrays (H, W, 3). Raises ValueError for different shapes."""
    import numpy as np

    if one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape} cannot be compared")
    levels = np.abs(one.astype(np.int16) - other).max(axis=2)  # (H, W)
    different, beyond = np.count_nonzero(levels), np.count_nonzero(levels > NEAR)
    return Distance(levels.size, int(different), int(beyond), int(levels.max()))


class Redraw:
    """Makes images again: `redrawer(model, device)` gives what does it by the names in a document, or raises."""

    def __init__(self, redrawer: Callable[[str, str], Redrawer]) -> None:
        self._open = redrawer
        self._opened: dict[tuple[str, str], Redrawer | PipelineError] = {}
        self._distances: list[Distance] = []

    def compare(self, document: dict[str, Any], image: bytes) -> tuple[bool | None, str]:
        """Whether the image is what its document's seed draws, and the numbers found.

        Equal pixels hold, and so do those within the bounds above, which other devices need. None for an image that no
        generator drew. Raises PipelineError where it cannot be drawn again, because its weights are not here.
        """
        made = document.get("generator")
        if made is None:
            return None, "no generator drew this image: there is nothing to draw it from"
        _check(made)
        redrawer = self._redrawer(made)
        drawing = redrawer.again(document)
        height, width = drawing.pixels.shape[:2]
        if max(width, height) != made["size"]:
            raise NotDrawn(reason=f"the recipe is of {width} by {height} pixels, the metadata says {made['size']}")
        found = distance(_decoded(image, width, height), _flat(drawing.pixels))
        self._distances.append(found)
        same_stack = redrawer.renderer == unmarked_renderer(made["renderer"])
        stack = "the same stack" if same_stack else f"{redrawer.renderer}, where {made['renderer']} was used"
        wrong = _untrue_traits(drawing, document)
        if wrong:
            return False, f"the seed draws no token with {wrong} (on {stack}; {found})"
        if found.different:
            verdict = "within the bounds for other devices" if found.within_bounds else "another picture"
            return found.within_bounds, f"{verdict}: {found} (on {stack})"
        return True, f"equal pixels, {self._bytes(drawing, image, made['encoder'])} (on {stack})"

    def summary(self) -> str:
        """The numbers over all images so far."""
        if not self._distances:
            return "none could be"
        near = 100 * min(1 - found.beyond_near / found.pixels for found in self._distances)
        return (
            f"{sum(not found.different for found in self._distances):,} with equal pixels; "
            f"over all, at most {max(found.largest for found in self._distances)} levels apart, "
            f"and at least {near:.4f} % of an image's pixels within {NEAR}"
        )

    def _redrawer(self, made: dict[str, Any]) -> Redrawer:
        """What draws with the weights of the document; one is opened once, and so is its failure."""
        key = made["model"], made["renderer"].rpartition("/")[2]  # a renderer's last part is the kind of device
        if key not in self._opened:
            try:
                self._opened[key] = self._open(*key)
            except PipelineError as error:
                self._opened[key] = error
        redrawer = self._opened[key]
        if isinstance(redrawer, PipelineError):
            raise NoWeights(reason=f"{redrawer}", how=redrawer.hint or _WEIGHTS)
        if redrawer.weights_sha256 != made["weights_sha256"]:
            raise NoWeights(
                reason=f"the weights {made['weights_sha256'][:16]}… of {made['model']!r} are not here, "
                f"only {redrawer.weights_sha256[:16]}…",
                how=_WEIGHTS,
            )
        return redrawer

    @staticmethod
    def _bytes(drawing: Drawing, image: bytes, encoder: str) -> str:
        program = encoder.partition("-")[0]
        if program not in ENCODERS:
            return "from an encoder that is not known here"
        signed = is_signed(image)
        if encode_png(drawing.pixels, program) == (unsigned(image) if signed else image):
            return "equal bytes, but for the credential" if signed else "equal bytes"
        here = encoder_id(program)
        return f"other bytes by {here}" if encoder != here else "other bytes by the same encoder"


class NotDrawn(PipelineError):
    """An image that could not be drawn again."""

    sentence = "not drawn again: {reason}"


class NoWeights(NotDrawn):
    """The weights, or what draws with them, are not here: another picture is not ruled out, and not found either."""

    proves_nothing = True
    sentence = "not drawn again: {reason}; {how}"


def _check(made: Any) -> None:
    """Raise NotDrawn unless the document says all that drawing needs, within what may be drawn."""

    sound = isinstance(made, dict) and all(type(made.get(name)) is kind for name, kind in _NEEDED.items())
    if not sound:
        raise NotDrawn(reason=f"the metadata does not say {', '.join(_NEEDED)} of its generator")
    if not (MIN_SIDE <= made["size"] <= MAX_SIDE and 0 <= made["seed"] <= MAX_SEED):
        raise NotDrawn(reason=f"size {made['size']} or seed {made['seed']} is out of range")


def _flat(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) pixels, on white where there were four channels."""
    import numpy as np
    from PIL import Image

    return pixels if pixels.shape[2] == 3 else np.asarray(flat(Image.fromarray(pixels)))


def _decoded(image: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """The pixels (height, width, 3) of a PNG. Raises NotDrawn for another file, or another size, before decoding it."""
    import numpy as np

    try:
        head = measure(image, ("PNG",))
        if (head.width, head.height) != (width, height):
            raise NotDrawn(reason=f"the image is {head.width} by {head.height} pixels, not {width} by {height}")
        return np.asarray(flat(decode(image, ("PNG",)).image))
    except BadPicture as error:
        raise NotDrawn(reason="the image is no sound PNG") from error


def _untrue_traits(drawing: Drawing, document: dict[str, Any]) -> str:
    """The traits that a drawing has and its document does not state, as one text."""
    stated = {(entry.get("trait_type"), entry.get("value")) for entry in document.get("attributes", ())}
    drawn = {(attribute.trait_type, attribute.value) for attribute in drawing.attributes}
    named = {trait for trait, _ in drawn}
    wrong = sorted(f"{trait} {value!r}" for trait, value in stated - drawn if trait in named)
    return ", ".join(wrong)


def redraw_with(config: Settings, workspace: Workspace | None = None) -> Redraw:
    """Drawing again as the configuration has it: with its model where one was given, else with the document's.

    What no setting says of the art, such as where its files lie, the runs of the workspace do.
    """
    runs: list[Run] = []
    if workspace is not None and Ledger.exists(workspace.ledger):
        with Ledger(workspace.ledger, readonly=True) as ledger:
            runs = [run for known in ledger.collections.all() for run in ledger.runs.of(known.id)]
    return Redraw(Stated(config, runs).redrawer)
