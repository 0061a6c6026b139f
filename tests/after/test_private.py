"""What is published, or made to be handed on, tells nothing of the machine that made it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from conftest import REPOSITORY, Pipeline, pipeline_in
from PIL import Image

CANARY = "Cabinet-of-Zoe-7731"  # part of every path that a person here names
USER = "canary-user-8842"


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures to mint and to learn from, a cover and weights, all below a folder with a name of its own."""
    folder = tmp_path_factory.mktemp("home") / CANARY
    (folder / "my-art").mkdir(parents=True)
    for number in range(1, 17):
        Image.effect_noise((32, 32), 10 + number).convert("RGB").save(folder / "my-art" / f"{number}.png")
    Image.effect_noise((64, 64), 90).convert("RGB").save(folder / "cover.png")
    words = [
        "train",
        "--model",
        "mlp_gan",
        "--data",
        folder / "my-art",
        "--licence",
        "my own work",
        "--out",
        folder / "runs" / "x",
    ]
    trained = pipeline_in(folder)(*words, "--steps", "2", env={"USER": USER, "LOGNAME": USER})
    assert trained.code == 0, trained.err
    return folder


def _telling(folder: Path, suffixes: tuple[str, ...] = ()) -> list[str]:
    """The files below a folder that hold a word of this machine; whatever their form, the words stand in it as they are."""
    words = [CANARY.encode(), USER.encode(), str(REPOSITORY).encode(), b"--model", b"--images", b"--data"]
    if len(node := platform.node()) > 4:
        words.append(node.encode())
    files = [path for path in folder.rglob("*") if path.is_file() and (not suffixes or path.suffix in suffixes)]
    assert files, folder
    return [f"{path.relative_to(folder)}: {word!r}" for path in files for word in words if word in path.read_bytes()]


def test_weights_and_their_card_tell_no_path_and_no_user(art: Path) -> None:
    assert _telling(art / "runs" / "x", (".safetensors", ".md", ".png")) == []


def test_what_is_minted_exported_and_shown_tells_no_path_user_or_command(pipeline: Pipeline, art: Path) -> None:
    env = {"USER": USER, "LOGNAME": USER, "PIPELINE_WORKSPACE": str(art / "workspace"), "PIPELINE_SIZE": "32"}
    for words in (
        ("mint", "--count", "2", "--model", art / "runs" / "x", "--cover", art / "cover.png"),
        ("mint", "--images", art / "my-art", "--new"),
        ("export", "--out", art / "out"),
        ("export", "--name", "Untitled", "--out", art / "other"),
        ("export", "--site", art / "site"),
    ):
        ended = pipeline(*words, env=env)
        assert ended.code == 0, ended.err
    for published in (art / "workspace" / "car", art / "out", art / "other", art / "site"):
        assert _telling(published) == []
