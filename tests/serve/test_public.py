"""The public show: strangers see what is minted, and nothing else of the workspace."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import pipeline_in
from serve.conftest import Service, new_token, service

from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger, Token

SEED = 8_123_456_789_012_345
HIDDEN_SEED = 7_123_456_789_012_345
HIDDEN_OWNER = "0x" + "7" * 40
SMALL = ("--size", "32", "--batch", "2")
SITE, CONTENT = "https://art.example.org", "https://ipfs.example.org"
MEDIA = (  # the page's own, which no document describes
    "/media/{collection_id}/cover/{root}/{width}.webp",
    "/media/{collection_id}/cover/{root}/preview.jpg",
    *(
        f"/media/{{collection_id}}/{{token_id}}/{{version}}/{what}"
        for what in ("image", "animation", "{width}.webp", "preview.jpg")
    ),
)
WORK = ("/v1/jobs", "/v1/jobs/{job}", "/v1/jobs/{job}/events", "/metrics")  # of whoever runs the show
PAGES = (
    *(
        "/",
        "/seen",
        "/seen/about",
        "/unseen/about",
        "/seen/{token_id}",
        "/seen-1/{token_id}",
        "/unseen",
        "/unseen-2",
        "/unseen/{token_id}",
    ),
    *("/owner/{address}", "/docs", "/sitemap.xml", "/robots.txt", "/1/{token_id}", "/nowhere"),
)
MINTED, UNMINTED = (1, 2), (3, 4, 5, 6)


@dataclass(frozen=True)
class Show:
    running: Service
    minted: list[Token]
    hidden: list[Token]  # two of them sealed, two drawn; and two of a collection that has nothing else
    documents: dict[str, list[str]]  # what every route told a stranger, by its path in the OpenAPI document


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    folder = tmp_path_factory.mktemp("public")
    run, more = (
        pipeline_in(folder),
        ("mint", "--more", "--count", "4", "--name", "Seen", "--batch", "2", "--to", HIDDEN_OWNER),
    )
    assert run("mint", "--count", "2", "--name", "Seen", "--seed", SEED, *SMALL).code == 0
    ended = run(*more, "--stop-after", "generate")
    assert ended.code == 0, ended.err
    assert run(*more, env={"PIPELINE_CRASH_AT": "batch_sealed:1"}).code == -signal.SIGKILL
    hidden = ("mint", "--count", "2", "--name", "Unseen", "--seed", HIDDEN_SEED, *SMALL, "--stop-after", "generate")
    ended = run(*hidden)
    assert ended.code == 0, ended.err
    with Ledger(Workspace(folder / "workspace").ledger, readonly=True) as ledger:
        seen, unseen = ledger.collections.all()
        tokens = [*ledger.tokens.of(seen.id, 1, 6), *ledger.tokens.of(unseen.id, 1, 2)]
    with service(folder, "--public", "--url", SITE, "--gateway-url", CONTENT) as running:
        shown, withheld = tokens[:2], tokens[2:]
        yield Show(running, shown, withheld, dict(_everything(running, tokens)))


def _everything(running: Service, tokens: list[Token]) -> Iterator[tuple[str, list[str]]]:
    """Every route that the document has, asked by a stranger about every token."""
    versions = {token.image_sha256.hex()[:8] for token in tokens if token.image_sha256}
    values = {
        "collection_id": ("1", "2"),
        "token_id": tuple("123456"),
        "version": tuple(versions),
        "width": ("320", "2048"),
        "address": (HIDDEN_OWNER, tokens[0].recipient),
        "job": ("1",),
        "root": tuple({str(token.images_root) for token in tokens if token.images_root}),
    }
    with running.client() as stranger:
        paths = stranger.get("/openapi.json").json()["paths"]
        assert all(set(operations) == {"get"} for operations in paths.values()), "a show says that it writes"
        assert not set(paths) & set(WORK), "a show offers what it keeps to itself"
        for path in (*paths, *MEDIA, *WORK, *PAGES):
            names = [name for name in values if f"{{{name}}}" in path]
            yield (
                path,
                [
                    _told(stranger, path, dict(zip(names, chosen, strict=True)))
                    for chosen in itertools.product(*(values[name] for name in names))
                ],
            )


def _told(stranger: httpx.Client, path: str, chosen: dict[str, str]) -> str:
    """An answer as text, without what the stranger has named himself."""
    answer = stranger.get(path.format(**chosen), headers={"Host": "art.example.org"})
    kind = answer.headers.get("content-type", "")
    text = answer.content.hex() if kind.startswith("image/") else answer.text
    if answer.status_code == 404 or "{address}" in path:
        for word in chosen.values():
            text = text.replace(word, "")
    return f"{answer.status_code} {answer.headers} {text}"


def test_nothing_of_an_unminted_token_is_in_any_answer(show: Show) -> None:
    states = [token.state for token in show.hidden]
    assert states == ["sealed", "sealed", "generated", "generated", "generated", "generated"]
    told = "\n".join(itertools.chain.from_iterable(show.documents.values()))
    folder = Workspace(show.running.folder / "workspace")
    public = {attribute.value for token in show.minted for attribute in token.attributes}
    canaries = {str(SEED), str(HIDDEN_SEED), HIDDEN_OWNER, "Unseen", "127.0.0.1", "localhost", str(folder.folder)}
    for token in show.hidden:
        assert token.image_sha256 is not None
        canaries |= {str(token.seed), token.image_sha256.hex(), token.image_sha256.hex()[:8]}
        canaries |= {str(root) for root in (token.images_root, token.metadata_root) if root}
        canaries |= {
            json.dumps(attribute.value)
            for attribute in token.attributes
            if attribute.value not in public and isinstance(attribute.value, str)
        }
    pictures = {folder.image(1, token_id, ".png").read_bytes().hex() for token_id in UNMINTED}
    pictures |= {folder.image(2, token_id, ".png").read_bytes().hex() for token_id in MINTED}
    assert len(canaries) > 20 and len(pictures) == 6
    assert [canary for canary in canaries if canary in told] == []
    assert not any(picture in told for picture in pictures)
    for token in show.minted:  # the eyes of this test are open
        assert token.image_sha256 is not None
        assert token.image_sha256.hex() in told and str(token.metadata_root) in told and str(token.seed) in told
        assert folder.image(1, token.token_id, ".png").read_bytes().hex() in told


def test_nothing_of_an_unminted_token_is_in_the_folder_of_the_show(show: Show, tmp_path: Path) -> None:
    ended = pipeline_in(show.running.folder)("export", "--site", tmp_path / "site", "--url", SITE)
    assert ended.code == 0, ended.err
    files = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    told = b"".join(path.read_bytes() + str(path.relative_to(tmp_path)).encode() for path in files)
    canaries = {str(SEED), str(HIDDEN_SEED), HIDDEN_OWNER, "Unseen", "127.0.0.1", str(show.running.folder)}
    for token in show.hidden:
        assert token.image_sha256 is not None
        canaries |= {str(token.seed), token.image_sha256.hex()[:8]}
        canaries |= {str(root) for root in (token.images_root, token.metadata_root) if root}
    assert [canary for canary in canaries if canary.encode() in told] == []
    assert all(token.image_sha256 and token.image_sha256.hex().encode() in told for token in show.minted)


def test_strangers_see_what_is_minted_and_learn_how_much_is_to_come(show: Show) -> None:
    with show.running.client() as stranger:
        (only,) = stranger.get("/v1/collections").json()
        assert only["name"] == "Seen" and only["progress"]["planned"] == 6 and only["progress"]["minted"] == 2
        found = stranger.get("/v1/collections/1").json()
        assert (found["seed"], found["chain"]["rpc_url"], found["gateway"]) == (None, None, f"{CONTENT}/ipfs/")
        assert stranger.get("/v1/collections/1/index").json()["token_ids"] == [1, 2]
        token = stranger.get("/v1/collections/1/tokens/2").json()
        assert token["following"] is None and token["ranked"] == 2
        assert token["image_page"].startswith(f"{CONTENT}/ipfs/")
        assert stranger.get(token["image"]).status_code == stranger.get(token["thumbnail"]).status_code == 200
        assert stranger.get("/").status_code == stranger.get("/gallery/app.js").status_code == 200
        batches = stranger.get("/v1/collections/1/batches").json()["batches"]
        assert [batch["start"] for batch in batches] == [1]
        facets = stranger.get("/v1/collections/1/facets").json()
        assert facets["total"] == 2 and all(one["total"] <= 2 for facet in facets["traits"] for one in facet["values"])
        for path in ("/v1/collections/2", "/v1/collections/1/tokens/3", "/v1/collections/1/tokens/5/verification"):
            assert stranger.get(path).status_code == 404, path


def test_jobs_metrics_and_what_nobody_thought_of_need_a_token(show: Show) -> None:
    with show.running.client() as stranger, show.running.client(new_token(show.running.folder, "read")) as known:
        for path, status in (("/v1/jobs", 200), ("/metrics", 200), ("/v1/jobs/1", 404), ("/v1/anything", 404)):
            assert stranger.get(path).status_code == 401, path
            assert known.get(path).status_code == status, path
        assert known.get("/v1/collections/1/tokens/3").status_code == 404  # nobody's show has more in it


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nobody_writes(show: Show, method: str) -> None:
    with show.running.client() as stranger, show.running.client(new_token(show.running.folder, "mint")) as minter:
        for client, path in itertools.product((stranger, minter), ("/v1/collections", "/v1/jobs/1/cancel", "/")):
            refused = client.request(method, path, json={"name": "Mine", "count": 1}, headers={"Idempotency-Key": "k"})
            assert refused.status_code == 405 and refused.headers["allow"] == "GET, HEAD"


def test_it_answers_by_the_name_it_was_given_and_no_other(show: Show) -> None:
    def asked(host: str) -> int:
        return httpx.get(f"{show.running.url}/v1/collections", headers={"Host": host}).status_code

    assert asked("art.example.org") == 200 and asked("other.example.org") == 421


@pytest.mark.parametrize(
    "words",
    [
        ("--url", "art.example.org"),
        ("--url", "https://art.example.org/show"),
        ("--gateway-url", "ftp://ipfs.example.org"),
        ("--gateway-url", "https://user:word@ipfs.example.org"),
        ("--public", "--require-token"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_by_name(
    words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("refused")
    ended = pipeline_in(folder)("serve", *words)
    assert ended.code == 2 and words[-2 if len(words) == 2 and words[0] != "--public" else -1] in ended.err
    assert not (folder / "workspace").exists()
