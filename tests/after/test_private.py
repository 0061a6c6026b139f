"""What is published, or made to be handed on, tells nothing of the machine that made it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from conftest import REPOSITORY, pipeline_in
from PIL import Image
from serve.conftest import service

CANARY = "Cabinet-of-Zoe-7731"  # part of every path that a person here names
USER = "canary-user-8842"
COMMAND = ("--model", "--images", "--data")
SOMEBODY = {"USER": USER, "LOGNAME": USER, "PIPELINE_SIZE": "32", "PIPELINE_CERTIFICATE_PASSWORD": "a long password"}


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


def _telling(folder: Path, suffixes: tuple[str, ...] = (), flags: tuple[str, ...] = COMMAND) -> list[str]:
    """The files below a folder that hold a word of this machine; whatever their form, the words stand in it as they are."""
    words = [CANARY.encode(), USER.encode(), str(REPOSITORY).encode(), *(flag.encode() for flag in flags)]
    if len(node := platform.node()) > 4:
        words.append(node.encode())
    files = [path for path in folder.rglob("*") if path.is_file() and (not suffixes or path.suffix in suffixes)]
    assert files, folder
    return [f"{path.relative_to(folder)}: {word!r}" for path in files for word in words if word in path.read_bytes()]


def test_weights_and_their_card_tell_no_path_and_no_user(art: Path) -> None:
    assert _telling(art / "runs" / "x", (".safetensors", ".md", ".png")) == []


@pytest.fixture(scope="module")
def workspace(art: Path) -> Path:
    """Everything that a workspace keeps of them: weights, a cover, pictures that existed, signed by a key in a file."""
    run, env = pipeline_in(art.parent), SOMEBODY | {"PIPELINE_WORKSPACE": str(art / "workspace")}
    for words in (
        ("certificate", "new", "--subject", "Zoë", "--out", art / "certificate.pem"),
        (
            "mint",
            "--count",
            "2",
            "--model",
            art / "runs" / "x",
            "--cover",
            art / "cover.png",
            "--certificate",
            art / "certificate.pem",
        ),
        ("mint", "--images", art / "my-art", "--new"),
    ):
        ended = run(*words, env=env)
        assert ended.code == 0, ended.err
    return art / "workspace"


def test_what_is_minted_exported_and_shown_tells_no_path_user_or_command(workspace: Path, art: Path) -> None:
    run, env = pipeline_in(art.parent), SOMEBODY | {"PIPELINE_WORKSPACE": str(workspace)}
    every = ("--format", "car,csv,json,transparency,hashlips,sugar")
    for words in (
        ("export", *every, "--out", art / "out"),
        ("export", *every, "--name", "Untitled", "--out", art / "other"),
        ("export", "--site", art / "site"),
        ("compile", "--verify", "--out", art / "source"),
    ):
        ended = run(*words, env=env)
        assert ended.code == 0, ended.err
    for published in (workspace / "car", *(art / name for name in ("out", "other", "site", "source"))):
        assert _telling(published) == []


def test_what_a_service_answers_and_logs_tells_nothing_of_it_either(workspace: Path, art: Path) -> None:
    env = SOMEBODY | {"PIPELINE_WORKSPACE": str(workspace)}
    told = pipeline_in(art.parent)("access", "new", "--scope", "mint", "--json", env=env)
    assert told.code == 0, told.err
    paths = ["/v1/collections", "/v1/jobs", "/v1/jobs/1", "/metrics", "/readyz", "/openapi.json", "/nowhere"]
    paths += [f"/v1/collections/1/{part}" for part in ("", "tokens/1", "batches", "transactions", "transparency")]
    with service(art.parent, env=env) as running, running.client(told.json["token"]) as client:
        job = client.post(
            "/v1/collections", json={"name": "Later", "count": 1}, headers={"Idempotency-Key": "key-later"}
        ).json()
        asked = [client.get(path) for path in paths]
        asked += [
            client.post(
                "/v1/collections", json={"name": "Wrong", "model": "x"}, headers={"Idempotency-Key": "key-wrong"}
            )
        ]
        running.ended(client, job["id"])
        asked += [client.get(path) for path in ("/v1/jobs/1", "/v1/collections/1/tokens/1/verification")]
        running.stop()
    answers = art / "answers"
    answers.mkdir()
    for number, answer in enumerate(asked):
        (answers / f"{number}.txt").write_bytes(answer.content + str(answer.headers).encode())
    lines = [
        line for line in running.log.read_text().splitlines() if line.startswith("{")
    ]  # the rest is for who began it
    assert len(lines) > 5
    (answers / "serve.log").write_text("\n".join(lines))
    assert _telling(answers, flags=()) == []  # a hint of it may name one
