"""Weights on disk: safetensors only, with the model's configuration in the file. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.art.draw.traits import DETAIL_CUTS
from pipeline.art.models.blueprint import Blueprint, Sizes, blueprint
from pipeline.art.models.painter import PainterConfig
from pipeline.base.errors import BadArgument, GenerationError, NoModel
from pipeline.base.files import read_regular, write_whole
from pipeline.base.limits import MODEL_BYTES
from pipeline.base.untrusted import parse_json, printable

MAX_HEADER = 1 << 20  # safetensors allows 100 MB of JSON, which a parser would have to hold
FORMAT = "nft-pipeline/vocabulary-gan/v1"  # of the default model before it was one of the others; the shipped weights
MODEL_FORMAT = "nft-pipeline/model/v1"  # any model of `blueprint.py`
DEFAULT = "default"
COLLAPSED = "collapsed"  # among the notes: why a training's alarm called its pictures all alike
UNCUT = {"tone": (0.25, 0.5, 0.75), "detail": (0.02, 0.05, 0.1)}  # where a checkpoint brings no cuts


@dataclass(frozen=True, slots=True)
class Weights:
    """What a sound file holds: finite tensors, and text beside them."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    sha256: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model of any kind."""

    path: Path
    model: Blueprint
    sizes: Sizes
    tensors: dict[str, Tensor]
    notes: dict[str, Any]  # how and on what it was trained, and the cuts of its traits
    sha256: str

    def network(self) -> nn.Module:
        """The generator with these weights, for drawing only. Raises GenerationError where they do not fit its sizes."""
        with torch.device("meta"):  # nothing is allocated for sizes that a file merely claims
            network = self.model.generator(self.sizes)
        try:
            network.load_state_dict(self.tensors, assign=True)
        except RuntimeError as error:
            raise _refused(self.path, "its tensors do not fit its sizes") from error
        return network.requires_grad_(False).eval()

    @property
    def collapsed(self) -> str:
        """Why the training that these are from was called collapsed; empty for a sound one."""
        return printable(self.notes.get(COLLAPSED, ""))

    def cuts(self) -> dict[str, tuple[float, ...]]:
        """Where the degrees of measured traits begin: the file's own, or usual ones where it has none."""
        found = self.notes.get("cuts", {})
        return {name: _cuts(found.get(name) if isinstance(found, dict) else None) or UNCUT[name] for name in UNCUT}


def _cuts(found: Any) -> tuple[float, ...] | None:
    sound = isinstance(found, list) and len(found) == 3 and all(isinstance(cut, float) for cut in found)
    return tuple(found) if sound else None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    tensors: dict[str, Tensor]
    config: PainterConfig
    notes: dict[str, Any]  # how it was trained, and the cuts of its traits
    sha256: str

    def detail_cuts(self) -> tuple[float, ...]:
        """Where the degrees of the trait Detail begin: the file's own, or the usual ones where it has none."""
        cuts = self.notes.get("detail_cuts")
        sound = isinstance(cuts, list) and len(cuts) == 3 and all(isinstance(cut, float) for cut in cuts)
        return tuple(cuts) if cuts and sound else DETAIL_CUTS


def read_checkpoint(path: Path) -> Checkpoint:
    """The default model's checkpoint at `path`, in either form. Raises GenerationError for anything but sound weights."""
    weights = read_weights(path)
    form, model = weights.metadata.get("format"), weights.metadata.get("model")
    if form != FORMAT and (form, model) != (MODEL_FORMAT, DEFAULT):
        raise _refused(path, f"not weights of this model: its metadata says neither {FORMAT!r} nor {MODEL_FORMAT!r}")
    try:
        config = PainterConfig(**parse_json(weights.metadata["config" if form == FORMAT else "sizes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"its configuration cannot be read ({error})") from error
    return Checkpoint(weights.tensors, config, _notes(path, weights), weights.sha256)


def write_trained(
    path: Path, model: Blueprint, sizes: Sizes | PainterConfig, tensors: dict[str, Tensor], notes: dict[str, Any]
) -> None:
    """Write the averaged weights of any model, with its name, sizes and notes in the file."""
    from safetensors.torch import save

    sizes_of = json.dumps(asdict(sizes))  # type: ignore[arg-type]
    metadata = {"format": MODEL_FORMAT, "model": model.name, "sizes": sizes_of, "notes": json.dumps(notes)}
    write_whole(path, _ordered(save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, metadata)))


def mark_collapsed(path: Path, why: str) -> None:
    """Write into a training's weights that they are those of a collapse; the tensors stay."""
    from safetensors.torch import save

    found = read_weights(path)
    notes = json.dumps(_notes(path, found) | {COLLAPSED: why})
    write_whole(path, _ordered(save(found.tensors, found.metadata | {"notes": notes})))


def _ordered(data: bytes) -> bytes:
    """The same safetensors with its header in order: the library shuffles metadata, and equal weights are equal bytes."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def read_trained(path: Path) -> Trained:
    """The trained model at `path`. Raises GenerationError for anything but sound weights of a model known here."""
    weights = read_weights(path)
    if weights.metadata.get("format") != MODEL_FORMAT:
        raise _refused(path, f"not a trained model: its metadata does not say {MODEL_FORMAT!r}")
    try:
        model = blueprint(weights.metadata["model"])
        sizes = model.config(**parse_json(weights.metadata["sizes"]))
    except (KeyError, TypeError, ValueError, BadArgument) as error:
        raise _refused(path, f"its model or sizes cannot be read ({error})") from error
    return Trained(path, model, sizes, weights.tensors, _notes(path, weights), weights.sha256)


def _notes(path: Path, weights: Weights) -> dict[str, Any]:
    try:
        notes = parse_json(weights.metadata.get("notes", "{}"))
    except ValueError as error:
        raise _refused(path, f"its notes cannot be read ({error})") from error
    if not isinstance(notes, dict):
        raise _refused(path, "its notes are no object")
    return notes


def read_weights(path: Path) -> Weights:
    """What the file at `path` holds, read as data. Raises GenerationError for anything but sound safetensors."""
    data = _read(path)
    header = _header(path, data)
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused(path, f"not sound safetensors ({error})") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise _refused(path, f"tensor {name!r} holds NaN or infinity")
    metadata = header.get("__metadata__", {})
    sound = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    return Weights(tensors, metadata if sound else {}, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MODEL_BYTES)
    except FileNotFoundError as error:
        raise NoModel(reason=f"there are no weights at {path}", hint="check the path") from error
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error


def _header(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON header, checked before anything parses it in earnest."""
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        reason = "this is a pickle, which can run code when it is opened; it was not opened"
        raise _refused(path, reason, "convert it to safetensors where you trust it")
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise _refused(path, "it is cut short")
    if length > MAX_HEADER:
        raise _refused(path, f"its header claims {length} bytes; {MAX_HEADER} are allowed")
    try:
        header = parse_json(data[8 : 8 + length])
    except ValueError as error:
        raise _refused(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _refused(path, "its header is not a JSON object")
    return header


def _refused(
    path: Path, reason: str, hint: str = "use the file as it was published, or another --model"
) -> GenerationError:
    return GenerationError(reason=f"cannot use {path}: {reason}", hint=hint)
