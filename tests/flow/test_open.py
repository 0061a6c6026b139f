"""One opening for every verb: what a call needs is opened and no more, and a bill refuses what its mint refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import plugins
import pytest
from conftest import Pipeline
from folders import write

from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Workspace
from pipeline.flow.bill import dry_run
from pipeline.flow.run import mint_run
from pipeline.settings import load_settings

# A generator whose device is only where HAS_GPU is set; what it draws depends on the kind of device.
BLOCKS = """
import os
import numpy as np
from pipeline.art.draw import Drawing
from pipeline.base.errors import GenerationError

class Blocks:
    name, weights_sha256, dtype = "blocks", "0" * 64, "float32"

    def __init__(self, device, threads):
        kind = device.partition(":")[0]
        if kind == "gpu" and "HAS_GPU" not in os.environ:
            raise GenerationError(reason=f"device {device!r} is not here", hint="use --device cpu")
        self.device, self.threads, self.renderer = device, threads or 1, f"blocks-1/{kind}"

    def draw(self, seed, size):
        random = np.random.default_rng(seed)
        pixels = np.kron(random.integers(0, 256, (4, 4, 3), np.uint8), np.ones((size // 4, size // 4, 1), np.uint8))
        return Drawing(seed, pixels, ())
"""
MINT = ("mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "5", "--model", "blocks")


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return plugins.install(folder, "blocks", BLOCKS, "Blocks")


def test_what_is_drawn_on_a_gpu_without_a_chain_is_minted_where_there_is_no_gpu(
    pipeline: Pipeline, tmp_path: Path, blocks: Path
) -> None:
    here = ("--device", "gpu:0", "--stop-after", "generate", "--rpc-url", "http://127.0.0.1:9")
    drawn = plugins.run(pipeline, blocks, *MINT, *here, HAS_GPU="1")
    assert drawn.code == 0 and "decided when it is minted" in drawn.err, drawn.err
    status = pipeline("status", "--json").json["collections"][0]
    assert (status["drawn"], status["chain_id"]) == (4, None)

    assert pipeline("show", "1", "--json").json["owner"] is None
    shutil.move(tmp_path / "workspace", tmp_path / "carried")
    assert pipeline(*MINT, "--workspace", "carried", env={"PIPELINE_CRASH_AT": "run_placed:1"}).code not in (0, 1, 2)
    minted = pipeline(*MINT, "--workspace", "carried", "--device", "cpu", "--json")  # not even the generator is here
    assert minted.code == 0, minted.err
    assert len({token["owner"] for token in minted.json["tokens"]}) == 1 and minted.json["chain_id"] == 31337
    assert pipeline("verify", "--workspace", "carried").code == 0
    assert pipeline(*MINT, "--workspace", "carried", "--json").json == minted.json | {"seconds": {}}


def test_a_run_that_still_has_to_draw_takes_another_device_of_its_kind_or_says_why_not(
    pipeline: Pipeline, blocks: Path
) -> None:
    begun = plugins.run(
        pipeline, blocks, *MINT, "--device", "gpu:0", HAS_GPU="1", PIPELINE_CRASH_AT="artwork_recorded:2"
    )
    assert begun.code not in (0, 1, 2)
    gone = plugins.run(pipeline, blocks, *MINT)
    assert gone.code == 1 and "still has to draw, with blocks-1/gpu on gpu:0" in gone.err
    other = plugins.run(pipeline, blocks, *MINT, "--device", "cpu")
    assert other.code == 1 and "blocks-1/gpu on gpu:0, and this installation has blocks-1/cpu on cpu" in other.err
    assert plugins.run(pipeline, blocks, *MINT, "--device", "gpu:1", HAS_GPU="1").code == 0


def test_a_folder_that_was_copied_is_minted_where_it_is_not(pipeline: Pipeline, tmp_path: Path) -> None:
    art = write(tmp_path / "art", {"1.png": 1, "2.png": 2})
    assert pipeline("mint", "--images", "art", "--stop-after", "generate").code == 0
    shutil.rmtree(art)
    ended = pipeline("mint", "--images", "art", "--json")
    assert ended.code == 0 and ended.json["name"] == "art", ended.err
    assert pipeline("verify").code == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "nosuch"}, "there is no model 'nosuch'"),
        ({"model": "nosuch.safetensors"}, "there are no weights at nosuch.safetensors"),
        ({"device": "cuda:9"}, "cuda:9"),
        ({"pin": "nosuch"}, "nosuch"),
        ({"quorum": "5"}, "--quorum"),
        ({"cover": "nosuch.png"}, "--cover"),
        ({"images": "broken"}, "2.png"),
    ],
)
def test_a_bill_refuses_what_its_mint_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "broken", {"1.png": 1, "2.png": "no picture", "3.png": 3})
    config = load_settings({"size": "32", "threads": "1", **settings}, {}, tmp_path)
    said = []
    for number, call in enumerate((dry_run, mint_run)):
        more = {"observer": Silent()} if call is mint_run else {}
        workspace = Workspace(tmp_path / str(number))
        with pytest.raises(PipelineError, match=told) as caught:
            call(config, 3, workspace, more=False, new=False, **more)  # type: ignore[operator]
        assert caught.value.exit_code == 2 or "model" not in settings
        said.append(str(caught.value))
    assert said[0] == said[1]


class Silent:
    def notice(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        pass
