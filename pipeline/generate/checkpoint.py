"""Weights on disk: safetensors only, with the model's configuration in the file. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import GenerationError
from pipeline.files import write_whole
from pipeline.generate.models.painter import PainterConfig
from pipeline.generate.traits import DETAIL_CUTS
from pipeline.untrusted import parse_json

MAX_BYTES = 1 << 30  # far above any model here: what is larger is not a model of this kind
MAX_HEADER = 1 << 20  # safetensors allows 100 MB of JSON, which a parser would have to hold
FORMAT = "nft-pipeline/vocabulary-gan/v1"


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


def write_checkpoint(path: Path, tensors: dict[str, Tensor], config: PainterConfig, notes: dict[str, Any]) -> None:
    from safetensors.torch import save

    metadata = {"format": FORMAT, "config": json.dumps(config.as_dict()), "notes": json.dumps(notes)}
    write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`. Raises GenerationError for anything but sound weights of this kind."""
    data = _read(path)
    header = _header(path, data)
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused(path, f"not sound safetensors ({error})") from error
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise _refused(path, f"not weights of this model: its metadata does not say {FORMAT!r}")
    try:
        config = PainterConfig(**parse_json(metadata["config"]))
        notes = parse_json(metadata.get("notes", "{}"))
        if not isinstance(notes, dict):
            raise TypeError("its notes are no object")
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"its configuration cannot be read ({error})") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise _refused(path, f"tensor {name!r} holds NaN or infinity")
    return Checkpoint(tensors, config, notes, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _refused(path, f"{size} bytes are more than any model here has")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise GenerationError(reason=f"there are no weights at {path}", hint="check the path") from error
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
