"""Tokens whose images existed before: their own names, what moves beside them, and what a page of theirs cannot reach."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import pipeline_in
from folders import GLB, MP4, SVG, write
from galleries import Served, application, file_server, mint_in, serving
from playwright.sync_api import expect

from pipeline.base.workspace import Workspace
from pipeline.serve.gallery.addresses import animation_path

WAV = b"RIFF\x24\x10\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\x10\0\0" + b"\x80" * 4096

# It paints itself, and tries every way out; what it found open it writes down.
PAGE = """<!doctype html><style>body { background: #246 }</style><p id=ran></p><script>
  const open = [];
  const tries = [
    ["parent", () => parent.document.title],
    ["storage", () => localStorage.length],
    ["cookie", () => document.cookie],
    ["top", () => { top.location = "about:blank" }],
    ["popup", () => { if (!window.open("/")) throw 0 }],
  ];
  for (const [name, go] of tries) { try { go(); open.push(name) } catch { } }
  const network = [fetch("/v1/collections"), fetch("http://127.0.0.1:9/"), new Promise((yes, no) => {
    const image = new Image(); image.onload = yes; image.onerror = no; image.src = "/gallery/icon.svg"; })];
  Promise.allSettled(network).then((all) => {
    open.push(...all.map((one, n) => one.status === "fulfilled" && `network ${n}`).filter(Boolean));
    document.getElementById("ran").textContent = `ran, and found open: ${open.join() || "nothing"}`;
  });
</script>"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A folder of six, minted as a user does it."""
    folder = tmp_path_factory.mktemp("found")
    one = {
        "name": "<b>Harbour</b> at dusk",
        "external_url": "https://example.org/harbour",
        "background_color": "102030",
        "animation_url": "1.html",
        "attributes": [{"trait_type": "Sea", "value": "calm"}],
    }
    odd = {  # what the metadata's schema takes and no browser does
        "name": "Wind #2",
        "external_url": "https://example.org/wind",
        "attributes": [
            {"trait_type": "End", "value": 8_650_000_000_000, "display_type": "date"},
            {"trait_type": "Born", "value": 1_700_000_000, "display_type": "date"},
        ],
    }
    files = {"1.png": 1, "1.json": one, "1.html": PAGE, "2.jpg": 2, "2.wav": WAV, "2.json": odd}
    files |= {"3.svg": SVG, "4.png": 4, "4.mp4": MP4, "5.png": 5, "5.glb": GLB}
    files |= {"6.png": 6, "6.json": {"animation_url": "https://example.org/6.mp4"}}
    write(folder / "art", files)
    workspace = mint_in(folder, "--images", "art", "--name", "Art")
    with sqlite3.connect(workspace.ledger_file) as ledger:  # as one was minted before such addresses were refused
        ledger.execute("DROP TRIGGER found_is_planned_once")
        ledger.execute("UPDATE found SET external_url = 'http://a:99999/' WHERE token_id = 2")
    return workspace


@pytest.fixture(scope="module")
def served_art(found: Workspace) -> Iterator[Served]:
    with serving(application(found)) as url:
        yield Served(url, found)


def test_a_token_has_its_own_name_in_the_grid_in_searches_and_on_its_page(served_art: Served, open_page: Any) -> None:
    page = open_page(f"{served_art.url}/art")
    names = page.locator(".cell .name")
    expect(names).to_have_text(["<b>Harbour</b> at dusk", "Wind #2", "#3", "#4", "#5", "#6"])
    expect(page.locator(".cell.there")).to_have_count(6)  # the SVG as well
    page.get_by_label("Search tokens by id, name").fill("harb")
    expect(names).to_have_text(["<b>Harbour</b> at dusk"])
    for token_id, told in ((1, "<b>Harbour</b> at dusk #1"), (2, "Wind #2"), (3, "Art #3")):
        page.goto(f"{served_art.url}/art/{token_id}")
        expect(page.locator(".token h1")).to_have_text(told)
        expect(page.locator(".frame.there")).to_be_visible()
    expect(page.get_by_text("This image existed before it was minted")).to_be_visible()


def test_a_tokens_page_runs_when_it_is_asked_for_and_reaches_nothing(served_art: Served, open_page: Any) -> None:
    page = open_page(f"{served_art.url}/art/1")
    expect(page.locator(".frame.there")).to_have_css("background-color", "rgb(16, 32, 48)")
    expect(page.get_by_role("link", name="example.org")).to_have_attribute("href", "https://example.org/harbour")
    assert page.locator("iframe").count() == 0
    page.get_by_role("button", name="Run the page").click()
    inside = page.frame_locator("iframe")
    expect(inside.locator("#ran")).to_have_text("ran, and found open: nothing")
    page.get_by_role("button", name="Show the image").click()
    expect(page.locator("iframe")).to_have_count(0)
    expect(page.locator(".frame img")).to_be_visible()
    alone = page.request.get(served_art.url + animation_path(1, 1, hashlib.sha256(PAGE.encode()).hexdigest()[:8]))
    assert "sandbox allow-scripts" in alone.headers["content-security-policy"]  # wherever it is opened
    page.complaints.clear()  # what the sandbox and CSP told of each attempt


def test_dates_and_addresses_that_no_browser_takes_break_no_page(served_art: Served, open_page: Any) -> None:
    page = open_page(f"{served_art.url}/art/2")
    expect(page.locator(".token h1")).to_have_text("Wind #2")
    expect(page.locator(".traits .value")).to_have_text(["8,650,000,000,000", "2023-11-14"])
    expect(page.locator(".token .line")).to_contain_text("http://a:99999/ ↗")
    assert page.locator("a", has_text="a:99999").get_attribute("href") is None


def test_sound_plays_and_what_cannot_be_played_is_told(served_art: Served, open_page: Any) -> None:
    page = open_page(f"{served_art.url}/art/2")
    page.get_by_role("button", name="Play the sound").click()
    expect(page.locator("audio")).to_have_js_property("readyState", 4)  # all of it is there and understood
    page.goto(f"{served_art.url}/art/4")
    page.get_by_role("button", name="Play the video").click()  # boxes without pictures in them
    expect(page.get_by_text("This browser cannot play it")).to_be_visible()
    expect(page.locator(".frame img")).to_be_visible()
    page.goto(f"{served_art.url}/art/5")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the 3D model").click()
    assert Path(download.value.path()).read_bytes() == GLB
    page.goto(f"{served_art.url}/art/6")
    expect(page.get_by_text("It has an animation elsewhere")).to_be_visible()


def test_animations_are_those_of_the_ledger_whole_in_parts_and_from_their_car(found: Workspace, tmp_path: Path) -> None:
    shutil.copytree(found.folder, tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    path = animation_path(1, 2, hashlib.sha256(WAV).hexdigest()[:8])
    with serving(application(workspace)) as url, httpx.Client(base_url=url) as client:
        whole = client.get(path)
        assert (whole.content, whole.headers["content-type"]) == (WAV, "audio/wav")
        part = client.get(path, headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, WAV[4:8])
        assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
        assert client.get(animation_path(1, 2, "00000000")).status_code == 404
        assert client.get(animation_path(1, 3, "00000000")).status_code == 404
        workspace.image(1, 2, ".wav").write_bytes(b"changed")
        assert client.get(path).content == WAV
        told = client.get("/v1/collections/1/tokens/2").json()["animation"]
        assert (told["kind"], told["path"]) == ("audio", path) and told["uri"].endswith("/2.wav")
        elsewhere = client.get("/v1/collections/1/tokens/6").json()["animation"]
        assert elsewhere == {
            "kind": "elsewhere",
            "uri": "https://example.org/6.mp4",
            "path": None,
            "web_page": "https://example.org/6.mp4",
        }


def test_in_a_folder_drawings_are_seen_films_are_played_and_no_page_runs(
    found: Workspace, tmp_path: Path, open_page: Any
) -> None:
    """What a token's own page loads could not be held back there, so that it is left at the gateway."""
    ended = pipeline_in(found.folder.parent)("export", "--site", tmp_path / "show")
    assert ended.code == 0, ended.err
    assert not [path for path in (tmp_path / "show" / "media").rglob("*.html")]
    with file_server(tmp_path / "show") as url:
        page = open_page(url)
        expect(page.locator(".cell.there")).to_have_count(6)
        page.goto(f"{url}/art/3/")
        expect(page.locator(".frame.there")).to_be_visible()
        page.goto(f"{url}/art/1/")
        expect(page.locator(".frame.there")).to_be_visible()
        expect(page.get_by_role("button", name="Run the page")).to_have_count(0)
        assert page.request.get(f"{url}{_film(tmp_path / 'show')}").headers["content-type"] == "video/mp4"


def _film(site: Path) -> str:
    path: str = json.loads((site / "data" / "1" / "tokens" / "4.json").read_text())["animation"]["path"]
    return path
