"""The show as others meet it: addresses that are passed on, previews, robots, phones, and the same show as a folder."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import pipeline_in
from galleries import COUNT, Served, application, file_server, serving
from playwright.sync_api import Page, expect

from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.pin.gateway import gateway_app, serve_gateway
from pipeline.serve.door import Door, Rules
from pipeline.serve.gallery.addresses import slugs

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Head(HTMLParser):
    """What a chat reads of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.told: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            self.told[name] = given.get("content", "")
        if tag == "link" and given.get("rel") == "canonical":
            self.told["canonical"] = given["href"]


def test_a_link_to_a_token_tells_a_chat_its_name_and_shows_its_picture(served: Served) -> None:
    page = httpx.get(f"{served.url}/lino/3")
    told = Head(page.text).told
    assert page.status_code == 200 and told["og:title"] == "Lino #3"
    assert told["canonical"] == told["og:url"] == f"{served.url}/lino/3"
    assert told["twitter:card"] == "summary_large_image"
    picture = httpx.get(told["og:image"])
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    for path, title in (("", "Gallery"), ("lino", "Lino"), ("lino/", "Lino"), ("docs", "API · Gallery")):
        assert Head(httpx.get(f"{served.url}/{path}").text).told["og:title"] == title
    assert httpx.get(Head(httpx.get(f"{served.url}/lino").text).told["og:image"]).status_code == 200


def test_a_page_is_packed_for_who_takes_it_and_asked_again_is_not_sent(served: Served) -> None:
    for path in ("lino/3", "gallery/app.js"):
        plain = httpx.get(f"{served.url}/{path}", headers={"Accept-Encoding": "identity"})
        packed = httpx.get(f"{served.url}/{path}")
        assert packed.headers["content-encoding"] == "gzip" and packed.content == plain.content
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert packed.headers["etag"] != plain.headers["etag"] and packed.headers["vary"] == "Accept-Encoding"
        known = {"If-None-Match": packed.headers["etag"]}
        assert httpx.get(f"{served.url}/{path}", headers=known).status_code == 304


def test_behind_a_proxy_links_have_the_name_that_was_asked_for(minted: Workspace) -> None:
    rules = Rules(frozenset({"art.example.org", "127.0.0.1"}), proxies=(ipaddress.ip_network("127.0.0.0/8"),))
    with serving(Door(application(minted), rules, lambda _: None, lambda *_: None)) as url:
        proxied = {
            "X-Forwarded-Host": "art.example.org",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "203.0.113.5",
        }
        page = httpx.get(f"{url}/lino/3", headers=proxied)
        assert Head(page.text).told["canonical"] == "https://art.example.org/lino/3"
        assert Head(page.text).told["og:image"].startswith("https://art.example.org/media/1/3/")
        assert httpx.get(f"{url}/lino/3", headers=proxied | {"X-Forwarded-Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ["/nowhere", "/lino/99", "/lino/0", "/lino/1/2", "/lino/9" + "9" * 300, "/owner/0x12"])
def test_an_address_of_nothing_is_a_page_that_says_so(served: Served, path: str) -> None:
    answer = httpx.get(f"{served.url}{path}")
    assert answer.status_code == 404 and answer.headers["content-type"].startswith("text/html")


def test_a_robot_finds_every_page(served: Served) -> None:
    sitemap = httpx.get(f"{served.url}/sitemap.xml")
    addresses = re.findall("<loc>(.*?)</loc>", sitemap.text)
    assert addresses == [
        f"{served.url}/{path}" for path in ("", "lino", "lino/about", *(f"lino/{n}" for n in range(1, COUNT + 1)))
    ]
    assert httpx.get(addresses[-1]).status_code == 200


def test_collections_of_one_name_have_addresses_of_their_own() -> None:
    assert slugs([(1, "Lino"), (2, "lino!"), (3, "Night  Grove"), (4, "墨 Ink"), (5, "…"), (6, "docs")]) == {
        1: "lino",
        2: "lino-2",
        3: "night-grove",
        4: "墨-ink",
        5: "5",
        6: "docs-6",
    }


def test_what_somebody_wrote_breaks_no_head(copied: Workspace) -> None:
    payload = '</title><script>1</script>"><img src=x onerror=1>'
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute("UPDATE collection SET name = ?, description = ?, artist = ?", (payload, payload, payload))
    with serving(application(copied)) as url:
        slug = httpx.get(f"{url}/v1/collections").json()[0]["slug"]
        for path in ("", slug, f"{slug}/3"):
            page = httpx.get(f"{url}/{path}").text
            assert "<script>1" not in page and "<img src=x" not in page
            assert payload in Head(page).told["og:title"] + Head(page).told["application-name"]


def test_old_links_lead_to_the_new_addresses(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/#/1/token/3")
    expect(page).to_have_url(f"{served.url}/lino/3")
    expect(page.get_by_role("heading", name="Lino #3")).to_be_visible()


def test_pages_change_without_loading_and_back_leads_back(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/lino?sort=rank")
    page.evaluate("window.same = true")
    page.locator(".cell").first.click()
    expect(page.locator("article.token")).to_be_visible()
    page.locator(".line a").first.click()
    expect(page.get_by_text(f"{COUNT} works in 1 collection.")).to_be_visible()
    expect(page.locator(".cell.there")).to_have_count(COUNT)
    page.go_back()
    expect(page.locator("article.token")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(f"{served.url}/lino?sort=rank")
    expect(page.locator(".cell").first).to_be_visible()
    assert page.evaluate("window.same")


def test_on_a_phone_the_filter_is_a_sheet_that_says_what_it_leaves(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/lino", **PHONE)
    page.get_by_role("button", name="Filter").tap()
    sheet = page.locator("dialog.filters")
    first = sheet.locator("li label").first
    left = int(first.locator(".n").inner_text())
    first.tap()
    sheet.get_by_role("button", name=f"Show {left} token").tap()
    expect(sheet).to_be_hidden()
    expect(page.locator(".cell")).to_have_count(left)
    small = "[...document.querySelectorAll('.toolbar button, .toolbar input')].filter(e => e.offsetHeight < 44).length"
    assert page.evaluate(small) == 0


def test_the_large_picture_has_the_pixels_of_the_screen_and_can_be_kept(served: Served, open_page: Any) -> None:
    """The art is composed: it is drawn again at the size that is asked for."""
    page = open_page(f"{served.url}/lino/3", viewport={"width": 1600, "height": 1600})
    page.locator(".enlarge").click()
    picture = page.locator("dialog.zoom img")
    expect(picture).to_be_visible()
    with page.expect_download() as kept:
        page.locator("dialog.zoom").get_by_role("link", name="Download").click()
    assert kept.value.suggested_filename.startswith("lino-3")
    token = httpx.get(f"{served.url}/v1/collections/1/tokens/3").json()
    version = token["image"].split("/")[-2]
    assert token["widths"][-1] == 3072
    drawn = httpx.get(f"{served.url}/media/1/3/{version}/2048.webp", timeout=60)
    assert drawn.headers["content-type"] == "image/webp" and drawn.status_code == 200
    assert httpx.get(f"{served.url}/media/1/3/{version}/4096.webp").status_code == 404


def test_the_page_of_the_api_is_drawn_from_its_document_and_asks(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/docs")
    operation = page.locator("#get-v1-collections-collection-id-tokens-token-id")
    expect(operation.get_by_role("heading")).to_contain_text("/v1/collections/{collection_id}/tokens/{token_id}")
    operation.get_by_role("button", name="Ask").click()
    expect(operation.locator("pre")).to_contain_text('"token_uri"')
    operation.get_by_role("link", name="TokenDetail").click()
    expect(page.locator("#document-TokenDetail")).to_be_in_viewport()


# ── the show as a folder ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def folder(minted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The show of the twelve tokens as files, and the CID under which it is pinned."""
    site = tmp_path_factory.mktemp("site") / "show"
    ended = pipeline_in(minted.folder.parent)(
        *("export", "--site", site, "--url", "https://art.example.org", "--title", "Twelve", "--pin", "embedded"),
        "--json",
    )
    assert ended.code == 0, ended.err
    return site, ended.json["pinned"]["cid"]


@pytest.fixture(scope="module")
def hosts(folder: tuple[Path, str], minted: Workspace) -> Iterator[dict[str, str]]:
    """The folder at a plain file server, below a path there, and at our own gateway."""
    site, cid = folder
    with file_server(site.parent) as files, serve_gateway(gateway_app(minted.cars), 0) as gateway:
        yield {"files": f"{files}/show/", "gateway": f"{gateway.replace('127.0.0.1', 'localhost')}/ipfs/{cid}/"}


@pytest.mark.parametrize("host", ["files", "gateway"])
def test_the_folder_is_the_same_show_wherever_it_lies(hosts: dict[str, str], host: str, open_page: Any) -> None:
    page: Page = open_page(hosts[host])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator(".cell.there")).to_have_count(COUNT)  # the only collection
    root = page.url.removesuffix("lino/")
    first = page.locator(".facets li label").first
    left = int(first.locator(".n").inner_text())
    first.click()
    expect(page.locator(".cell")).to_have_count(left)
    page.reload()
    expect(page.locator(".count")).to_have_text(f"{left} of {COUNT} tokens")
    page.locator(".cell").first.click()
    expect(page.locator("article.token")).to_be_visible()
    page.reload()
    expect(page.locator(".frame.there")).to_be_visible()
    expect(page.locator(".verification")).to_contain_text("pipeline verify --contract 0x")
    page.locator(".line a").first.click()
    page.goto(f"{root}lino/about/")
    expect(page.get_by_text("the laws of composition")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_text(f"{COUNT} works in 1 collection.")).to_be_visible()
    assert asked and all(address.startswith(root) for address in asked)


QUERIES = ("", "?q=7", "?q=0x7", "?q=e", "?sort=rank", "?sort=-id&q=a", "?owner=0xf39f", "?q=nothing+here")


def test_a_browser_filters_the_folder_as_the_server_does(hosts: dict[str, str], served: Served, open_page: Any) -> None:
    page: Page = open_page(f"{hosts['files']}lino/")
    facets = httpx.get(f"{served.url}/v1/collections/1/facets").json()["traits"]
    several = [f"{facet['trait_type']}:{facet['values'][0]['value']}" for facet in facets[:2]]
    chosen = "?" + "&".join(f"trait={one.replace(':', '%3A').replace(' ', '%2520')}" for one in several)
    ask = """async ([query, kind]) => {
        const [{ folder }, { parsedQuery }] = await Promise.all([import('../gallery/folder.js'), import('../gallery/api.js')]);
        return folder[kind](1, parsedQuery(query.slice(1)));
    }"""
    for query in (*QUERIES, chosen):
        for kind in ("index", "facets"):
            expected = httpx.get(f"{served.url}/v1/collections/1/{kind}{query}")
            if expected.status_code == 422:  # facets have no order
                continue
            assert page.evaluate(ask, [query, kind]) == expected.json(), (query, kind)


def test_the_folder_has_a_head_of_its_own_for_every_page_and_no_private_word(
    folder: tuple[Path, str], minted: Workspace
) -> None:
    site, _ = folder
    told = Head((site / "lino" / "3" / "index.html").read_text()).told
    assert told["og:title"] == "Lino #3" and told["canonical"] == "https://art.example.org/lino/3/"
    picture = told["og:image"].removeprefix("https://art.example.org/")
    assert (site / picture).read_bytes()[:2] == b"\xff\xd8"
    assert (
        len(re.findall("<loc>", (site / "sitemap.xml").read_text())) == COUNT + 4
    )  # with the front, how it was made, and an owner
    texts = b"".join(path.read_bytes() for path in site.rglob("*") if path.suffix in (".html", ".json", ".xml", ".txt"))
    with Ledger(minted.ledger, readonly=True) as ledger:
        seed = ledger.collections.all()[0].seed
    collection = json.loads((site / "data" / "1" / "collection.json").read_text())
    assert seed == 5 and collection["seed"] is None
    for word in (str(minted.folder), "127.0.0.1", "localhost"):
        assert word.encode() not in texts, word


def test_written_again_it_is_the_same_and_no_other_folder_is_touched(
    folder: tuple[Path, str], minted: Workspace, tmp_path: Path
) -> None:
    run = pipeline_in(minted.folder.parent)
    words = ("--url", "https://art.example.org", "--title", "Twelve", "--pin", "embedded", "--json")
    again = run("export", "--site", tmp_path / "again", *words)
    assert again.json["pinned"]["cid"] == folder[1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    refused = run("export", "--site", tmp_path / "mine")
    assert refused.code == 2 and "--site" in refused.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert run("export", "--url", "https://art.example.org").code == 2


def test_a_pinned_show_is_in_the_ledger_until_somebody_lets_go_of_it(
    folder: tuple[Path, str], minted: Workspace, tmp_path: Path
) -> None:
    run = pipeline_in(minted.folder.parent)
    other = run("export", "--site", tmp_path / "other", "--title", "Other", "--pin", "embedded", "--json")
    cid = other.json["pinned"]["cid"]

    def kept() -> dict[str, str]:
        return {site["root"]: site["pins"][0]["state"] for site in run("pins", "--json").json["sites"]}

    assert kept() == {folder[1]: "proved", cid: "proved"}
    assert run("abandon").code == 0 and kept() == {folder[1]: "proved", cid: "proved"}  # it sweeps what nobody has
    left = run("unpin", "--site", f"ipfs://{cid}", "--json")
    assert left.code == 0 and list(kept()) == [folder[1]], left.err
    assert not (minted.cars / f"{cid}.car").exists() and (minted.cars / f"{folder[1]}.car").exists()
    assert run("unpin", "--site", cid).code == 2
