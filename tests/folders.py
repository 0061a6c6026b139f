"""Folders of art as people have them, written for a test."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#c33"/></svg>'


def picture(number: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8))


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


GLB = b"glTF" + struct.pack("<II", 2, 12 + 8 + 4) + struct.pack("<I", 4) + b"JSON" + b"{}  "
MP4 = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", b"m" * 20) + box(b"mdat", b"d" * 50)


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Files by name: a number is a picture, a dict is JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            picture(content).save(path)
        else:
            path.write_bytes(
                json.dumps(content).encode()
                if isinstance(content, dict)
                else content.encode()
                if isinstance(content, str)
                else content
            )
    return folder
