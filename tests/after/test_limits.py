"""What the door lets in, every room can hold: pictures at the limits are minted, verified, exported, shown and rebuilt."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path
from random import Random

import httpx
import pytest
from conftest import Pipeline
from galleries import application, serving
from PIL import Image

from pipeline.base.limits import IMAGE_BYTES, IMAGE_PIXELS, SVG_BYTES
from pipeline.base.workspace import Workspace

SIDE = 8192


def _noise(path: Path, side: int) -> None:
    """A PNG that nothing makes smaller: 3 bytes a pixel."""
    random = Random(7)
    packer = zlib.compressobj(0)
    data = b"".join(packer.compress(b"\0" + random.randbytes(3 * side)) for _ in range(side)) + packer.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    chunks = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many bytes as a picture may have, nearly; as many pixels; as long an SVG."""
    folder = tmp_path_factory.mktemp("art")
    _noise(folder / "1.png", 5_000)
    assert 70 << 20 < (folder / "1.png").stat().st_size < IMAGE_BYTES
    assert SIDE * SIDE == IMAGE_PIXELS
    Image.linear_gradient("L").resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / "2.png", compress_level=1)
    head, tail = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><!--', '--><path d="M0 0h9v9z"/></svg>'
    (folder / "3.svg").write_text(head + "x" * (SVG_BYTES - len(head) - len(tail)) + tail)
    return folder


@pytest.mark.timeout(300)
def test_a_collection_at_the_limits_passes_every_room(pipeline: Pipeline, art: Path, tmp_path: Path) -> None:
    told = pipeline("mint", "--images", art, "--name", "Limits", "--json")
    assert told.code == 0, told.err
    assert pipeline("verify").code == 0
    assert pipeline("export").code == 0
    workspace = Workspace(tmp_path / "workspace")
    with serving(application(workspace)) as url, httpx.Client(base_url=url, timeout=120) as client:
        for number in (1, 2, 3):
            token = client.get(f"/v1/collections/1/tokens/{number}").json()
            shown = [client.get(token[kind]) for kind in ("image", "thumbnail")]
            assert [answer.status_code for answer in shown] == [200, 200], (number, shown[1].text[:200])
        assert client.get(client.get("/v1/collections/1").json()["cover"]).status_code == 200
    for file in workspace.folder.glob("ledger.sqlite*"):
        file.unlink()
    shutil.rmtree(workspace.folder / "images")
    rebuilt = pipeline("repair", "--from-chain", "--contract", json.loads(told.out)["contract"])
    assert rebuilt.code == 0, rebuilt.err
    assert pipeline("verify").code == 0
