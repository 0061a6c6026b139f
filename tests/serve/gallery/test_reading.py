from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from galleries import COUNT, GATEWAY, Served, application, serving
from PIL import Image

from pipeline.after.verify import Step
from pipeline.base.errors import RpcUnavailable
from pipeline.base.media import picture_type
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.serve import streams
from pipeline.serve.gallery.thumbnails import NotAnImage, Thumbnails, thumbnail
from pipeline.serve.problems import Busy, tell_problems
from pipeline.serve.reading import MAX_VERIFICATIONS, Reader, reading_router
from pipeline.settings import load_settings

C = "/v1/collections/1"


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


@contextmanager
def visiting(app: FastAPI) -> Iterator[httpx.Client]:
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def _get(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_collection_tells_what_it_is_and_how_far(client: httpx.Client) -> None:
    (summary,) = _get(client, "/v1/collections")
    found = _get(client, C)
    assert summary.items() <= found.items()
    assert (found["name"], found["symbol"], found["owners"], found["seed"], found["size"]) == (
        "Lino",
        "LINO",
        1,
        5,
        128,
    )
    assert found["chain"]["worth"] == "devnet" and found["chain"]["rpc_url"].startswith("http://127.0.0.1:")
    assert found["progress"] == {
        **dict.fromkeys(("planned", "drawn", "pinned", "minted"), COUNT),
        "final": found["progress"]["final"],
        "running": False,
        "state": "minted",
    }
    assert _get(client, f"{C}/progress") == found["progress"]


@pytest.mark.parametrize("sort", ["id", "-id", "rank"])
def test_pages_show_every_token_once_in_the_order_of_the_index(client: httpx.Client, sort: str) -> None:
    index = _get(client, f"{C}/index", sort=sort)
    seen, cursor = [], None
    while True:
        page = _get(client, f"{C}/tokens", sort=sort, limit=5, **({"cursor": cursor} if cursor else {}))
        assert page["total"] == COUNT
        seen += page["tokens"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [token["token_id"] for token in seen] == index["token_ids"]
    assert [token["rank"] for token in seen] == index["ranks"]
    assert sorted(index["token_ids"]) == list(range(1, COUNT + 1))


def test_choosing_a_trait_leaves_as_many_as_its_count_said(client: httpx.Client) -> None:
    for facet in _get(client, f"{C}/facets")["traits"]:
        for value in facet["values"]:
            chosen = {"trait": f"{httpx.QueryParams({'': facet['trait_type']})}"[1:] + f":{value['value']}"}
            left = _get(client, f"{C}/tokens", limit=100, **chosen)
            assert left["total"] == value["count"] == value["total"] > 0
            for token in left["tokens"]:
                traits = _get(client, f"{C}/tokens/{token['token_id']}")["traits"]
                assert {"trait_type": facet["trait_type"], "value": value["value"]}.items() <= next(
                    trait for trait in traits if trait["trait_type"] == facet["trait_type"]
                ).items()


def test_a_token_tells_its_content_history_and_provenance(client: httpx.Client) -> None:
    token = _get(client, f"{C}/tokens/7")
    assert token["name"] == "Lino #7" and token["token_uri"].endswith("/7.json")
    assert token["metadata_page"] == GATEWAY + token["token_uri"].removeprefix("ipfs://")
    (event,) = token["history"]
    assert (event["recipient"], event["sender"]) == (token["owner"], "0x" + "0" * 40)
    assert (event["transaction"], event["block_number"]) == (token["transaction"], token["block_number"])
    assert token["provenance"]["model"].startswith("compose:") and token["provenance"]["size"] == 128
    assert (token["previous"], token["following"], token["ranked"]) == (6, 8, COUNT)
    assert _get(client, f"{C}/tokens/1")["previous"] is None
    assert _get(client, f"{C}/tokens/{COUNT}")["following"] is None


def test_owners_batches_and_transactions_agree(client: httpx.Client) -> None:
    owners = _get(client, f"{C}/owners")
    assert (owners["total"], owners["owners"][0]["tokens"], owners["next"]) == (1, COUNT, None)
    first = _get(client, f"{C}/batches", limit=1)
    second = _get(client, f"{C}/batches", limit=1, cursor=first["next"])
    batches = first["batches"] + second["batches"]
    assert [(batch["start"], batch["quantity"]) for batch in batches] == [(1, 6), (7, 6)] and second["next"] is None
    deploy, *mints = _get(client, f"{C}/transactions")["transactions"]
    assert deploy["purpose"] == "deploy" and deploy["hash"] == _get(client, C)["deploy_tx"]
    assert [mint["hash"] for mint in mints] == [batch["transaction"] for batch in batches]
    assert all(int(mint["spent_wei"]) > 0 and mint["gas_used"] > 0 for mint in mints)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v1/collections/2", 404, "collection 2"),
        (f"/v1/collections/{2**53}", 422, "collection_id"),
        ("/v1/collections/one", 422, "collection_id"),
        (f"{C}/tokens/99", 404, "token 99"),
        (f"{C}/tokens/0", 422, "token_id"),
        (f"{C}/tokens/99/verification", 404, "token 99"),
        (f"{C}/tokens?limit=0", 422, "limit"),
        (f"{C}/tokens?sort=size", 422, "sort"),
        (f"{C}/tokens?cursor=;drop", 422, "cursor"),
        (f"{C}/tokens?trait=Palette", 422, "trait:value"),
        (f"{C}/tokens?owner=alice", 422, "owner"),
        (f"{C}/index?q={'x' * 201}", 422, "q"),
        ("/media/1/1/00000000/image", 404, "image 00000000"),
        ("/media/1/1/..%2f..%2f/image", 404, ""),
        ("/media/1/cover/bafybeigwlygkl4mt76e75wfhqs7ffe2duotvil4pegii6g6euqggoxvba5/640.webp", 404, "cover"),
        ("/gallery/..%2f__init__.py", 404, ""),
        ("/gallery/nothing.js", 404, "nothing.js"),
    ],
)
def test_what_is_not_here_or_cannot_be_meant_is_told(client: httpx.Client, path: str, status: int, told: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    if told:
        assert set(answer.json()) == {"error", "hint"} and told in answer.json()["error"]


def test_an_empty_workspace_has_no_collections_and_says_how_to_make_one(tmp_path: Path) -> None:
    with visiting(application(Workspace(tmp_path))) as client:
        assert client.get("/v1/collections").json() == []
        assert "pipeline mint" in client.get(C).json()["hint"]
        assert client.get("/media/1/1/00000000/image").status_code == 404
        assert client.get("/").status_code == 200


def test_everything_answers_as_the_openapi_document_says(client: httpx.Client) -> None:
    """FastAPI checks answers against the models; what the document must not lose is the models themselves."""
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for status, response in operations["get"]["responses"].items():
            if path.startswith("/v1") and status == "200":
                assert response["content"]["application/json"]["schema"], path
    assert {"TokenDetail", "TokenIndex", "Facets", "Verification", "Progress"} <= set(document["components"]["schemas"])


# ── verification and progress ────────────────────────────────────────────────────────────────────────────────────


def test_a_verification_walks_from_the_chain_to_the_pixels(served: Served) -> None:
    with httpx.Client(base_url=served.url, timeout=120) as client:
        whole = _get(client, f"{C}/tokens/3/verification")
        assert whole["ok"] and [step["name"] for step in whole["steps"]][-1] == "pixels"
        with client.stream("GET", f"{C}/tokens/3/verification", headers={"Accept": "text/event-stream"}) as stream:
            events = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
    assert events == ["step"] * len(whole["steps"]) + ["done"]


def _verified_by(workspace: Workspace, verifier: Any) -> FastAPI:
    app = FastAPI()
    tell_problems(app)
    app.include_router(reading_router(Reader(workspace, load_settings({}, {}, workspace.folder), verifier)))
    return app


def test_a_chain_that_does_not_answer_is_told_as_json_and_as_an_event(minted: Workspace) -> None:
    def verifier(*_: object) -> Iterator[Step]:
        yield Step("contract", True, "fine")
        raise RpcUnavailable(rpc="http://127.0.0.1:1", method="eth_call", reason="refused")

    with visiting(_verified_by(minted, verifier)) as client:
        answer = client.get(f"{C}/tokens/3/verification")
        assert answer.status_code == 503 and "eth_call" in answer.json()["error"]
        told = client.get(f"{C}/tokens/3/verification", headers={"Accept": "text/event-stream"}).text
    assert told.index("event: step") < told.index("event: problem") and "event: done" not in told


def test_what_nobody_could_check_is_not_told_as_false(minted: Workspace) -> None:
    def verifier(*_: object) -> Iterator[Step]:
        yield Step("contract", True, "fine")
        yield Step("image", None, "no gateway answered", not_checked=True)

    with visiting(_verified_by(minted, verifier)) as client:
        told = _get(client, f"{C}/tokens/3/verification")
    assert (told["ok"], told["verdict"]) == (False, "not checked")
    assert [(step["ok"], step["not_checked"]) for step in told["steps"]] == [(True, False), (None, True)]


def test_no_more_verifications_wait_than_this_machine_should_do(minted: Workspace) -> None:
    """The others are refused at once, and those that wait are done one after another."""
    under_way, most = 0, 0

    def verifier(*_: object) -> Iterator[Step]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        yield Step("contract", True, "fine")
        under_way -= 1

    app = _verified_by(minted, verifier)

    async def ask_many() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            answers = await asyncio.gather(
                *(client.get(f"{C}/tokens/3/verification") for _ in range(MAX_VERIFICATIONS * 4))
            )
            assert (await client.get(f"{C}/tokens/3/verification")).status_code == 200
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(ask_many())
    assert set(statuses) <= {200, 503} and statuses.count(200) >= MAX_VERIFICATIONS and most == 1


def test_progress_is_told_as_it_changes_until_the_run_ends(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_S", 0.05)
    states = ["planned", "sealed", "mined"]

    def look(progress: list[dict[str, Any]]) -> None:
        with Ledger(copied.ledger) as ledger, ledger.atomic():
            if len(progress) < len(states):
                ledger.execute("UPDATE batch SET state = ? WHERE start = 7", (states[len(progress)],))
            else:
                ledger.execute("UPDATE run SET state = 'done'")

    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute("UPDATE run SET state = 'running'")
        ledger.execute("UPDATE batch SET state = 'planned' WHERE start = 7")
    heard: list[dict[str, Any]] = []

    async def follow() -> None:
        from pipeline.serve.documents import Progress
        from pipeline.serve.reading import Reader

        reader = Reader(copied, load_settings({}, {}, copied.folder), None)
        async for event in streams.changes(
            lambda _: "progress", lambda: reader.progress(1), lambda seen: not seen.running, 0.05
        ):
            heard.append(Progress.model_validate_json(event.split("data: ")[1]).model_dump())
            look(heard)

    asyncio.run(asyncio.wait_for(follow(), 60))
    assert [(one["pinned"], one["minted"], one["running"]) for one in heard] == [
        (6, 6, True),
        (12, 6, True),
        (12, 12, True),
        (12, 12, False),
    ]


def test_a_stream_ends_in_order_when_the_server_does(copied: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute("UPDATE run SET state = 'running'")
    with httpx.Client(timeout=60) as client, contextlib.ExitStack() as running:
        url = running.enter_context(serving(application(copied)))
        with client.stream("GET", f"{url}{C}/progress", headers={"Accept": "text/event-stream"}) as stream:
            lines = stream.iter_lines()
            assert [next(lines), next(lines)] == ["id: 1", "event: progress"]
            running.close()
            assert not [line for line in lines if line.startswith("event")]  # ended, and not cut
    assert not [record for record in caplog.records if record.exc_info]


def test_streams_beyond_the_most_are_refused() -> None:
    async def nothing() -> Any:
        yield ""

    some = streams.Streams(most=1)
    first = some.respond(nothing())
    with pytest.raises(Busy):
        some.respond(nothing())  # also before the first one has begun
    assert isinstance(first, streams._Stream)
    first._ended()
    some.respond(nothing())


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_images_are_those_of_the_ledger_and_can_be_kept_for_ever(client: httpx.Client) -> None:
    token = _get(client, f"{C}/tokens/3")
    image = client.get(token["image"])
    assert hashlib.sha256(image.content).hexdigest() == token["image_sha256"]
    small = client.get(token["thumbnail"])
    with Image.open(io.BytesIO(small.content)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (128, 128))  # never larger than it was
    cover = client.get(_get(client, C)["cover"])
    for answer, kind in (image, "image/png"), (small, "image/webp"), (cover, "image/webp"):
        assert answer.headers["content-type"] == kind
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        again = client.get(answer.url.path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    part = client.get(token["image"], headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, image.content[:8])


def test_a_damaged_or_missing_file_is_read_from_its_car(copied: Workspace) -> None:
    with visiting(application(copied)) as client:
        token = _get(client, f"{C}/tokens/3")
        copied.image(1, 3).write_bytes(b"<svg onload='alert(1)'/>")
        assert hashlib.sha256(client.get(token["image"]).content).hexdigest() == token["image_sha256"]
        copied.image(1, 3).unlink()
        assert client.get(token["thumbnail"]).status_code == 200
        for car in copied.cars.glob("*.car"):
            car.unlink()
        answer = client.get(token["image"])
        assert answer.status_code == 500 and "missing" in answer.json()["error"]  # waiting mends nothing


def test_a_thumbnail_is_made_once_however_many_ask(tmp_path: Path) -> None:
    reads = []
    data = io.BytesIO()
    Image.new("RGB", (700, 500), "teal").save(data, "PNG")

    def read() -> bytes:
        reads.append(1)
        return data.getvalue()

    thumbnails = Thumbnails(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        futures = list(pool.map(lambda _: thumbnails.of("ab" * 32, 320, read), range(64)))
    paths = {future.result(30) for future in futures}
    assert len(reads) == 1 and len(paths) == 1
    with Image.open(paths.pop()) as picture:
        assert picture.size == (320, 229)
    assert thumbnails.of("ab" * 32, 320, read).result(30).exists() and len(reads) == 1


def test_what_is_no_image_or_too_many_pixels_is_not_decoded() -> None:
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 20_000
    for data in (bomb.getvalue(), b"<svg onload='alert(1)'/>", b"", b"\x89PNG\r\n\x1a\n broken", b"x" * 100):
        with pytest.raises(NotAnImage):
            thumbnail(data, 320)
    assert picture_type(b"<svg onload=") is None and picture_type(b"RIFF\x00\x00\x00\x00WEBP") == "image/webp"
