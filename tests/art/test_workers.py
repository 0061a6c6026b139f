"""Drawing on a real Ray of two workers: the same bytes, through kills, without a secret, and nothing that comes is believed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import REPOSITORY

from pipeline.art.draw import Drawing, Gate, Generator, generate, load_generator
from pipeline.art.draw.ray_driver import packed
from pipeline.art.draw.workers import Shared, check_reach, shared_generator, unpacked
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.records import Address, Attribute, TokenSpec

POISON, TINY = 666, "0x" + "11" * 20
PLUG_IN = """
import os, signal
from pipeline.art.draw import load_generator

class Poisoned:
    def __init__(self, device, threads):
        self._whole = load_generator({name!r}, device, threads)
    def __getattr__(self, name):
        return getattr(self._whole, name)
    def draw(self, seed, size):
        if seed == {poison}:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._whole.draw(seed, size)
"""
SIZE = 64
CANARY = "canary-48151623"
SEEDS = tuple(range(100, 124))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generator]:
    """Two workers or more, of another package's generator that draws as ours does, but for one seed."""
    folder = tmp_path_factory.mktemp("poisoned")
    (folder / "poisoned.py").write_text(PLUG_IN.format(name=_name(), poison=POISON))
    (folder / "poisoned-1.dist-info").mkdir()
    (folder / "poisoned-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: poisoned\nVersion: 1\n")
    points = "[pipeline.generators]\npoisoned = poisoned:Poisoned\n"
    (folder / "poisoned-1.dist-info" / "entry_points.txt").write_text(points)
    environ = os.environ | {
        "PIPELINE_PRIVATE_KEY": CANARY,
        "PIPELINE_PSA_TOKEN": CANARY,
        "AWS_SECRET_ACCESS_KEY": CANARY,
    }
    environ["PYTHONPATH"] = f"{REPOSITORY}:{folder}"
    generator = shared_generator("poisoned", "cpu", 1, "ray:local:2", trusted=False, environ=environ)
    yield generator
    _speaker(generator)._end()


def _name() -> str:
    from pipeline.art.drawn import model_of
    from pipeline.settings import Settings

    return model_of(Settings.of(voice="braid").art, 5)


def _speaker(generator: Generator) -> Any:
    assert isinstance(generator, Shared)
    return generator._speaker


def _processes(generator: Generator) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(_speaker(generator)._process.pid).children(recursive=True)
    return found


def _painters(generator: Generator) -> list[psutil.Process]:
    return [one for one in _processes(generator) if "Painter" in " ".join(one.cmdline())]


def _bytes(generator: Generator, folder: Path) -> dict[int, bytes]:
    specs = [TokenSpec(number, seed, Address(TINY)) for number, seed in enumerate(SEEDS, 1)]
    folder.mkdir()
    artworks = generate(specs, generator, SIZE, Gate(5), lambda token_id: folder / f"{token_id}.png")
    return {artwork.token_id: artwork.path.read_bytes() for artwork in artworks}


def test_workers_write_the_bytes_that_this_process_writes_also_when_one_is_killed(
    cluster: Generator, tmp_path: Path
) -> None:
    here = load_generator(_name(), "cpu", 1)
    assert (cluster.renderer, cluster.weights_sha256, cluster.name) == (here.renderer, here.weights_sha256, here.name)
    expected = _bytes(here, tmp_path / "here")
    assert _bytes(cluster, tmp_path / "there") == expected
    painters = _painters(cluster)
    assert len(painters) == 2
    painters[0].suspend()  # so that it holds a task when it is killed
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({painters[0].pid}, 9)"])
    assert _bytes(cluster, tmp_path / "killed") == expected
    killer.wait()


def test_no_process_of_a_cluster_knows_a_secret_and_none_listens_beyond_this_machine(cluster: Generator) -> None:
    assert isinstance(cluster, Shared)
    cluster.draw_batch(SEEDS[:2], SIZE)  # one each: both are there, also where one was just replaced
    processes = _processes(cluster)
    assert _painters(cluster)
    for process in processes:
        try:
            known = Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
            listening = [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue  # one that has just ended
        assert CANARY not in known and "PIPELINE_" not in known, process
        # A process that gave itself a title wrote it over the first of its variables.
        assert "RAY_USAGE_STATS_ENABLED=0" in known or not known.strip("\0") or known.startswith("\0"), process
        for one in listening:
            assert one.laddr.ip.removeprefix("::ffff:") in ("127.0.0.1", "::1"), (process, one)


def test_a_driver_that_is_killed_is_started_again_and_takes_its_cluster_with_it(cluster: Generator) -> None:
    before, driver = _processes(cluster), _speaker(cluster)._process
    drawn = {seed: cluster.draw(seed, SIZE).pixels.tobytes() for seed in SEEDS[:1]}
    os.kill(driver.pid, signal.SIGKILL)
    assert cluster.draw(SEEDS[0], SIZE).pixels.tobytes() == drawn[SEEDS[0]]
    assert _speaker(cluster)._process.pid != driver.pid
    _, alive = psutil.wait_procs(before, timeout=120)
    assert not alive


def test_a_seed_that_ends_every_worker_is_named(cluster: Generator) -> None:
    with pytest.raises(GenerationError, match=f"3 workers ended while they drew seed {POISON} "):
        assert isinstance(cluster, Shared)
        cluster.draw_batch([SEEDS[0], POISON, SEEDS[1]], SIZE)


# ── nobody is believed ───────────────────────────────────────────────────────────────────────────────────────


def _drawing() -> Drawing:
    pixels = np.arange(SIZE * SIZE * 3, dtype=np.uint8).reshape(SIZE, SIZE, 3)
    return Drawing(7, pixels, (Attribute("Mood", "dark"),), "", np.zeros((2, 3, 3), np.float32))


def test_what_was_packed_is_unpacked_as_it_was() -> None:
    header, body = packed(_drawing())
    before, after = _drawing(), unpacked(header, body, SIZE)
    assert np.array_equal(after.pixels, before.pixels)
    assert before.layout is not None and after.layout is not None and np.array_equal(after.layout, before.layout)
    assert (after.seed, after.attributes, after.flaw) == (before.seed, before.attributes, before.flaw)


def _bomb(header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    huge = zlib.compress(bytes(50_000_000))
    return header | {"packed": len(huge)}, huge


def _other_pixel(header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    pixels = bytearray(zlib.decompress(body[: header["packed"]]))
    pixels[0] ^= 1
    again = zlib.compress(bytes(pixels))
    return header | {"packed": len(again)}, again + body[header["packed"] :]


@pytest.mark.parametrize(
    "spoil",
    [
        _bomb,
        _other_pixel,
        lambda header, body: (header, body[:-1]),
        lambda header, body: (header | {"sha256": hashlib.sha256(b"").hexdigest()}, body),
        lambda header, body: (header | {"attributes": [{"trait_type": "Mood"}]}, body),
        lambda header, body: (header | {"attributes": 7}, body),
        lambda header, body: (header | {"flaw": "x" * 1_000}, body),
        lambda header, body: (header | {"flaw": "a\x1b[2J"}, body),
        lambda header, body: (header | {"layout": [-1, 3]}, body),
        lambda header, body: (header | {"layout": None}, body),
        lambda header, body: (header | {"seed": "seven"}, body),
        lambda header, body: ({"bytes": 0}, b""),
    ],
)
def test_what_is_no_drawing_of_that_size_is_refused(spoil: Any) -> None:
    header, body = spoil(*packed(_drawing()))
    with pytest.raises(GenerationError, match="no drawing"):
        unpacked(header, body, SIZE)


def test_a_cluster_beyond_this_machine_is_reached_with_tls_or_consent_alone() -> None:
    far = "ray://ray.example.org:10001"
    with pytest.raises(BadArgument, match="TLS") as caught:
        check_reach(far, {}, trusted=False)
    assert "--trust-workers" in caught.value.hint
    check_reach(far, {"RAY_USE_TLS": "1"}, trusted=False)
    check_reach(far, {}, trusted=True)
    check_reach("ray://127.0.0.1:10001", {}, trusted=False)
