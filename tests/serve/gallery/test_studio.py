"""The studio over HTTP and in a real browser: staged by keys, seen by others, committed, and only what changed drawn anew."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from galleries import serving, unpaced_service
from layered import bots
from playwright.sync_api import Page, Request, Route, expect
from serve.conftest import PATIENCE_S, new_token

from pipeline.base.workspace import Workspace
from pipeline.cli.main import main

COUNT = 40
STUDIO = "/v1/studio/1"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tokens of layers, drawn and not pinned."""
    folder = tmp_path_factory.mktemp("studio")
    bots(folder / "bots")
    with contextlib.chdir(folder):
        words = ("mint", "--layers", "bots", "--count", str(COUNT), "--seed", "3", "--stop-after", "generate")
        assert main(words) == 0
    return folder


@dataclass(frozen=True)
class Bench:
    """A service with a studio, and what opens it."""

    url: str
    workspace: Workspace
    token: str
    read_token: str

    def client(self, token: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token or self.token}"}, timeout=PATIENCE_S
        )


@contextlib.contextmanager
def service(folder: Path, **rules: Any) -> Iterator[Bench]:
    with unpaced_service(folder, "127.0.0.1", **rules) as app, serving(app) as url:
        yield Bench(url, Workspace(folder / "workspace"), new_token(folder, "mint"), new_token(folder, "read"))


@pytest.fixture
def bench(drawn: Path, tmp_path: Path) -> Iterator[Bench]:
    shutil.copytree(drawn / "workspace", tmp_path / "workspace")
    with service(tmp_path) as opened:
        yield opened


def edit(client: httpx.Client, kind: str, *tokens: int, **more: Any) -> httpx.Response:
    return client.post(f"{STUDIO}/edits", json={"kind": kind, "tokens": list(tokens), **more})


def drawn_whole(client: httpx.Client) -> dict[str, Any]:
    """The studio once everything is drawn."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        look: dict[str, Any] = client.get(STUDIO).json()
        if not look["drawing"]["is_running"] and not look["undrawn"]:
            return look
        assert time.monotonic() < deadline, look
        time.sleep(0.1)


def test_even_a_look_takes_a_token_that_may_mint_and_a_show_has_no_studio(bench: Bench, tmp_path: Path) -> None:
    paths = (STUDIO, f"{STUDIO}/tokens", f"{STUDIO}/export")
    assert {httpx.get(f"{bench.url}{path}").status_code for path in paths} == {401}
    with bench.client(bench.read_token) as reader:
        assert {reader.get(path).status_code for path in paths} == {403}
        assert edit(reader, "approve", 1).status_code == 403
    with service(tmp_path, public=True) as show, show.client() as client:
        assert client.get(STUDIO).status_code == 404
        assert edit(client, "approve", 1).status_code == 405


def test_two_editors_add_up_and_who_is_late_is_told(bench: Bench) -> None:
    with bench.client() as ada, bench.client() as bob:
        seen = bob.get(STUDIO)
        assert bob.get(STUDIO, headers={"If-None-Match": seen.headers["etag"]}).status_code == 304
        rerolled = edit(ada, "reroll", 7, seen=0)
        assert rerolled.status_code == 200 and rerolled.json()["tokens"][0]["is_changed"]
        assert edit(bob, "approve", 8, seen=0).status_code == 200
        late = edit(bob, "approve", 7, seen=0)
        assert (late.status_code, late.json()["error"]) == (
            412,
            "token 7: it is at version 1 now, and version 0 was seen",
        )
        stale = bob.post(f"{STUDIO}/commits", headers={"If-Match": seen.headers["etag"]})
        assert stale.status_code == 412
        assert bob.post(f"{STUDIO}/commits").status_code == 422
        look = ada.get(STUDIO)
        assert (look.json()["approved"], look.json()["changed"], look.json()["version"]) == (1, 1, 2)
        done = ada.post(f"{STUDIO}/commits", headers={"If-Match": look.headers["etag"]})
        assert done.status_code == 200 and done.json()["changed"] == [7]
        after = drawn_whole(ada)
        assert after["edits"] == [] and after["approved"] == 1
        exported = ada.get(f"{STUDIO}/export").json()
        assert len(exported["tokens"]) == COUNT and exported["version"] == 3


def test_a_picture_is_kept_for_ever_under_its_key(bench: Bench) -> None:
    with bench.client() as client:
        before = client.get(f"{STUDIO}/tokens", params={"limit": 1}).json()["tokens"][0]
        path = f"{STUDIO}/tokens/1/{before['key']}/320.webp"
        picture = client.get(path)
        assert picture.headers["content-type"] == "image/webp" and "immutable" in picture.headers["cache-control"]
        now = edit(client, "reroll", 1).json()["tokens"][0]
        assert (
            client.get(path).content == picture.content != client.get(path.replace(before["key"], now["key"])).content
        )
        moved = client.get(path.replace("320", "640"))  # nobody made this one while the token had its key
        assert moved.status_code == 307 and now["key"] in moved.headers["location"]
        hats = client.get(f"{STUDIO}/tokens", params={"layer": "Hat", "value": "Crown"}).json()
        assert hats["total"] == 4 and {one["cells"]["Hat"] for one in hats["tokens"]} == {"Crown"}


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────────────────
# `bench` comes before `open_page`: a page that asks for news is closed before its server is.


def keys_of(page: Page) -> list[str]:
    return [str(plate.get_attribute("data-key")) for plate in page.locator(".plate").all()]


def open_studio(open_page: Any, bench: Bench, **options: Any) -> Page:
    page: Page = open_page(
        f"{bench.url}/studio", init=f"sessionStorage.setItem('read-token', '{bench.token}')", **options
    )
    expect(page.locator(".plate")).to_have_count(COUNT)
    return page


def staged(page: Page, version: int) -> None:
    expect(page.locator("#state")).to_contain_text(f"version {version} ")


def test_a_collection_is_curated_by_keys_alone(bench: Bench, open_page: Any) -> None:
    page = open_studio(open_page, bench)
    before, asked = keys_of(page), list[str]()

    def note(request: Request) -> None:
        if "/320.webp" in request.url:
            asked.append(request.url)

    expect(page.locator(".plate img.there")).to_have_count(COUNT)
    page.on("request", note)
    page.keyboard.press("a")
    page.keyboard.press("x")
    staged(page, 2)
    expect(page.locator(".plate").nth(0)).to_have_class("plate approved")
    expect(page.locator(".plate").nth(1)).to_have_class("plate rejected")
    page.keyboard.press("1")  # token 3 keeps its background …
    staged(page, 3)
    background = page.locator(".traits select").first.input_value()
    page.keyboard.press("r")  # … and gets all else anew
    staged(page, 4)
    expect(page.locator(".plate").nth(2)).to_have_class("plate changed here")
    assert page.locator(".traits select").first.input_value() == background
    after = keys_of(page)
    assert [at for at, key in enumerate(after) if key != before[at]] == [2]
    expect(page.locator(".counts .over, .counts .under").first).to_be_visible()
    assert {url.split("/tokens/")[1].split("/")[0] for url in asked} == {"3"}  # no other picture was asked for

    page.keyboard.press("Shift+R")  # what is rejected
    staged(page, 5)
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    staged(page, 6)
    page.keyboard.press("u")
    staged(page, 7)
    page.keyboard.press("e")
    staged(page, 8)
    expect(page.locator("#counts h2")).to_contain_text("every count holds")
    page.reload()
    expect(page.locator(".plate")).to_have_count(COUNT)
    staged(page, 8)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#edits")).to_contain_text("nothing")
    with bench.client() as client:
        look = drawn_whole(client)
    assert look["approved"] == 1 and look["changed"] == 0
    assert all(one["there"] == one["wanted"] for one in look["counted"])


def test_a_stale_page_may_not_commit_and_then_shows_what_it_missed(bench: Bench, open_page: Any) -> None:
    page = open_studio(open_page, bench)
    page.keyboard.press("a")
    staged(page, 1)
    commits: list[Route] = []

    def commit(route: Route) -> None:
        commits.append(route)
        route.continue_()

    # It hears of nothing any more, until it commits.
    page.route("**/v1/studio/1", lambda route: route.continue_() if commits else route.abort())
    page.route("**/v1/studio/1/commits", commit)
    with bench.client() as other:
        edit(other, "reroll", 9)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#choose-title")).to_have_text("Commit version 1?")
    with page.expect_response("**/commits") as answered:
        page.keyboard.press("Enter")
    assert answered.value.status == 412
    expect(page.locator(".plate").nth(8)).to_have_class("plate changed")
    staged(page, 2)
    page.complaints.clear()  # type: ignore[attr-defined]  # the browser's own, of what was cut off


def test_counts_are_edited_in_the_table_and_a_page_without_a_token_asks(bench: Bench, open_page: Any) -> None:
    page: Page = open_page(f"{bench.url}/studio", viewport={"width": 390, "height": 844})
    page.fill("#ask-token", bench.token)
    page.keyboard.press("Enter")
    expect(page.locator(".plate")).to_have_count(COUNT)
    page.locator("#counts summary", has_text="Hat").click()
    field = page.get_by_label("how often Hat Bow is wanted")
    there = int(field.input_value())
    field.fill(str(there + 2))
    field.press("Enter")
    staged(page, 1)
    expect(page.locator("#counts tr.less .off")).to_have_text("−2")
    page.locator("#level").click()
    expect(page.locator("#counts h2")).to_contain_text("every count holds")
    page.complaints.clear()  # type: ignore[attr-defined]  # of the first answer, 401
