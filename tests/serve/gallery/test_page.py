"""The page in a real Chromium: what a collector sees, does with the keyboard, and is told."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from galleries import COUNT, Served, application, serving
from playwright.sync_api import Page, expect

from pipeline.base.records import Address
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger, NewCollection, canonical_json
from pipeline.ledger.access import AccessToken
from pipeline.serve.door import Door, Rules

DRAWN = "document.querySelectorAll('.cell.there').length"


def until(page: Page, expression: str) -> None:
    """Wait for a JavaScript expression; the page's policy refuses Playwright's own way of doing so, which is eval."""
    deadline = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def _cells(page: Page) -> list[int]:
    return [int(text[1:]) for text in page.locator(".cell .caption > :first-child").all_inner_texts()]


def test_the_collection_at_a_glance(served: Served, open_page: Any) -> None:
    page = open_page(served.url)
    expect(page.get_by_role("heading", name="Lino")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("31337, a devnet on this machine")
    expect(page.locator(".count")).to_have_text(f"{COUNT} tokens")
    until(page, f"{DRAWN} === {COUNT}")
    assert sorted(_cells(page)) == list(range(1, COUNT + 1))
    assert page.evaluate("document.querySelector('.cover img').naturalWidth") > 0
    assert page.title() == "Lino"


def test_search_filter_and_order_narrow_the_grid_and_live_in_the_address(served: Served, open_page: Any) -> None:
    page = open_page(served.url)
    first = page.locator(".facets li label").first
    count = int(first.locator(".n").inner_text())
    first.click()
    expect(page.locator(".count")).to_have_text(f"{count} of {COUNT} tokens")
    expect(page.locator(".cell")).to_have_count(count)
    assert "trait=" in page.url
    page.reload()
    expect(page.locator(".cell")).to_have_count(count)
    expect(page.locator(".facets input:checked")).to_have_count(1)
    page.locator(".chip").click()
    expect(page.locator(".cell")).to_have_count(COUNT)
    page.get_by_role("searchbox").fill("#7")
    expect(page.locator(".cell")).to_have_count(1)
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No token fits.")).to_be_visible()
    page.get_by_role("button", name="Show all tokens").click()
    page.get_by_label("Order").select_option("rank")
    expect(page.locator(".cell .rank").first).to_have_text("rank 1")
    assert page.url.endswith("?sort=rank")


def test_a_token_shows_everything_and_verifies_step_by_step(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/lino/3")
    expect(page.get_by_role("heading", name="Lino #3")).to_be_visible()
    until(page, "document.querySelector('.frame img')?.naturalWidth === 128")
    expect(page.locator(".line")).to_contain_text(re.compile(rf"Rank \d+ of {COUNT}"))
    assert page.locator(".traits li").count() >= 4
    expect(page.locator(".history li")).to_contain_text("Minted to")
    assert page.locator(".pairs a.out").first.get_attribute("href").startswith("http://127.0.0.1:8081/ipfs/bafy")
    page.get_by_role("button", name="Verify this token").click()
    expect(page.locator(".verdict")).to_have_text("Every link holds, from the chain to the pixels.", timeout=120_000)
    steps = ["contract", "owner", "token URI", "metadata", "image", "digest", "pixels"]
    assert page.locator(".way .holds strong").all_inner_texts() == steps


def test_a_token_that_was_tampered_with_breaks_where_it_was(copied: Workspace, chain: str, open_page: Any) -> None:
    """The image's CAR is another one's: blocks no longer hash to their CIDs."""
    with sqlite3.connect(copied.ledger_file) as ledger:
        (root,) = ledger.execute("SELECT images_root FROM batch WHERE start = 1").fetchone()
    car = copied.cars / f"{root}.car"
    data = bytearray(car.read_bytes())
    data[-100] ^= 1
    car.write_bytes(data)
    with serving(application(copied)) as url:
        page = open_page(f"{url}/lino/3")
        page.get_by_role("button", name="Verify this token").click()
        expect(page.locator(".verdict")).to_have_text("It breaks at: image.", timeout=120_000)
        assert page.locator(".way .fails strong").all_inner_texts() == ["image"]
        assert page.locator(".way .unreached strong").all_inner_texts() == ["digest", "pixels"]


def test_everything_can_be_done_with_the_keyboard(served: Served, open_page: Any) -> None:
    page = open_page(served.url)
    until(page, f"{DRAWN} === {COUNT}")
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('.grid > div')].map(d => d.getBoundingClientRect().left)).size"
    )
    focused = "document.activeElement.querySelector('.caption > span')?.textContent"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "#1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == f"#{2 + columns}"
    page.keyboard.press("End")
    assert page.evaluate(focused) == f"#{COUNT}"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Lino #{COUNT}")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name=f"Lino #{COUNT - 1}")).to_be_visible()
    page.keyboard.press("z")
    expect(page.locator("dialog.zoom")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.zoom")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator(".collection")).to_be_visible()
    until(page, f"({focused}) === '#{COUNT - 1}'")
    page.keyboard.press("/")
    page.keyboard.type("12")
    expect(page.locator(".cell")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def test_esc_leads_back_to_the_gallery_as_it_was(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/lino?sort=rank")
    page.locator(".cell").first.click()
    expect(page.locator("article.token")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{served.url}/lino?sort=rank")
    expect(page.locator(".cell").first).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(served: Served, open_page: Any) -> None:
    page = open_page(served.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    until(page, f"{DRAWN} > 0")
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    expect(page.locator(".facets")).to_be_hidden()
    page.get_by_role("button", name="Filter").tap()
    expect(page.locator(".facets")).to_be_visible()
    page.goto(f"{served.url}/lino/3")
    expect(page.get_by_role("heading", name="Lino #3")).to_be_visible()
    assert not page.evaluate(wide)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(served: Served, open_page: Any, scheme: str) -> None:
    """WCAG 2 AA: a contrast of 4.5 of body and secondary text with the page."""
    page = open_page(served.url, color_scheme=scheme)
    expect(page.locator(".count")).to_be_visible()
    colours = page.evaluate(
        "['body', '.count'].map(s => getComputedStyle(document.querySelector(s)).color)"
        ".concat(getComputedStyle(document.body).backgroundColor)"
    )

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    body, secondary, paper = map(luminance, colours)
    assert (paper > 0.5) == (scheme == "light")
    for text in (body, secondary):
        high, low = sorted((text, paper), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_nothing_is_asked_of_anybody_else(served: Served, open_page: Any) -> None:
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.url)
    until(page, f"{DRAWN} === {COUNT}")
    page.goto(f"{served.url}/lino/3")
    until(page, "document.querySelector('.frame img')?.naturalWidth > 0")
    assert len(asked) > COUNT and all(url.startswith(served.url) for url in asked)


def test_an_empty_workspace_says_what_to_do_and_then_shows_what_was_done(
    tmp_path: Path, minted: Workspace, open_page: Any
) -> None:
    with serving(application(Workspace(tmp_path / "workspace"))) as url:
        page = open_page(url)
        expect(page.get_by_text("Nothing here yet.")).to_be_visible()
        expect(page.get_by_text("pipeline mint --count 50")).to_be_visible()
        (tmp_path / "workspace").symlink_to(minted.folder)
        expect(page.get_by_role("heading", name="Lino")).to_be_visible()


def test_a_collection_without_tokens_says_how_to_make_the_first(tmp_path: Path, open_page: Any) -> None:
    workspace = Workspace(tmp_path)
    nobody = Address("0x0000000000000000000000000000000000000000")
    empty = NewCollection("Empty", "E", "Soon.", "", 0, nobody, 0, nobody, 1)
    with Ledger(workspace.ledger) as ledger, ledger.atomic():
        ledger.collections.plan(ledger.collections.enter_chain(31337, bytes(32), "anvil"), empty)
    with serving(application(workspace)) as url:
        page = open_page(url)
        expect(page.get_by_role("heading", name="Empty")).to_be_visible()
        expect(page.get_by_text("No tokens yet.")).to_be_visible()
        expect(page.get_by_text("pipeline mint --count 50 --more")).to_be_visible()
        expect(page.locator(".count")).to_have_text("0 tokens")


def test_what_does_not_exist_is_told_in_words(served: Served, open_page: Any) -> None:
    page = open_page(f"{served.url}/nowhere")
    expect(page.get_by_role("alert")).to_contain_text("no collection called “nowhere”")
    page.goto(f"{served.url}/lino/99")
    expect(page.get_by_role("alert")).to_contain_text("There is no token 99")
    told = [text for text in page.complaints if "404" not in text]  # Chromium tells of each 404 itself
    page.complaints[:] = told


def test_a_run_is_followed_live_while_it_mints(copied: Workspace, open_page: Any) -> None:
    with sqlite3.connect(copied.ledger_file) as connection:
        rows = connection.execute(
            "SELECT token_id, image_sha256, pixel_sha256, attributes FROM token WHERE token_id > 6"
        ).fetchall()
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute("UPDATE run SET state = 'running'")
        ledger.execute("UPDATE batch SET state = 'planned' WHERE start = 7")
        ledger.execute(
            "UPDATE token SET state = 'planned', image_sha256 = NULL, pixel_sha256 = NULL, attributes = NULL WHERE token_id > 6"
        )
    with serving(application(copied)) as url:
        page = open_page(url)
        expect(page.locator(".progress")).to_contain_text("6 drawn, 6 pinned, 6 minted of 12")
        expect(page.locator(".cell.undrawn")).to_have_count(6)
        with Ledger(copied.ledger) as ledger, ledger.atomic():
            for token_id, image, pixels, attributes in rows:
                ledger.execute(
                    "UPDATE token SET state = 'generated', image_sha256 = ?, pixel_sha256 = ?, attributes = ? WHERE token_id = ?",
                    (image, pixels, attributes, token_id),
                )
        expect(page.locator(".progress")).to_contain_text("12 drawn, 6 pinned")
        expect(page.locator(".cell.there")).to_have_count(12)
        with Ledger(copied.ledger) as ledger, ledger.atomic():
            ledger.execute("UPDATE batch SET state = 'mined' WHERE start = 7")
            ledger.execute("UPDATE run SET state = 'done'")
        expect(page.locator("#said")).to_have_text("12 tokens minted")
        expect(page.locator(".progress")).to_be_hidden()


def test_a_read_token_is_asked_for_once_and_sent_with_everything(minted: Workspace, open_page: Any) -> None:
    """Behind the service's own door. Images come with the token as well; it stays in this tab."""
    known = AccessToken(1, "friend", "read", 0.0, None)
    door = Door(
        application(minted),
        Rules(hosts=frozenset({"127.0.0.1"}), open_reads=False),
        lambda secret: known if secret == "good" else None,
        lambda *_: None,
    )
    with serving(door) as url:
        page = open_page(url)
        page.locator("#ask-token").fill("bad")
        page.keyboard.press("Enter")
        expect(page.locator("#ask-refused")).to_be_visible()
        page.locator("#ask-token").fill("good")
        page.keyboard.press("Enter")
        until(page, f"{DRAWN} === {COUNT}")
        page.reload()
        until(page, f"{DRAWN} === {COUNT}")
        assert page.evaluate("localStorage.length") == 0 and page.context.cookies() == []
        assert page.evaluate("[...document.querySelectorAll('.cell img')].every(i => i.src.startsWith('blob:'))")
        other = page.context.new_page()
        other.goto(url)
        expect(other.locator("#ask-token")).to_be_visible()
        page.complaints[:] = [text for text in page.complaints if "401" not in text]


def test_a_grid_of_ten_thousand_keeps_a_handful_of_cells(copied: Workspace, open_page: Any) -> None:
    many = 10_000
    attributes = canonical_json([{"trait_type": "Grid", "value": 2}])
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.executemany(
            "INSERT INTO token (collection, token_id, batch, seed, recipient, state, image_sha256, pixel_sha256, attributes)"
            " VALUES (1, ?, 2, 1, '0x', 'generated', zeroblob(32), zeroblob(32), ?)",
            iter([(token_id, attributes) for token_id in range(COUNT + 1, many + 1)]),
        )
    with serving(application(copied)) as url:
        page = open_page(url)
        expect(page.locator(".cell").first).to_be_visible()
        page.locator(".cell").first.focus()
        page.keyboard.press("End")
        until(page, f"document.activeElement.textContent.startsWith('#{many}')")
        assert page.evaluate("document.querySelectorAll('.cell').length") < 100
        page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
        until(page, "[...document.querySelectorAll('.cell')].some(c => /#[45]\\d{3}/.test(c.textContent))")
        assert page.evaluate("document.querySelectorAll('.cell').length") < 100
        page.goto("about:blank")
        page.complaints[:] = [
            text for text in page.complaints if not re.search("500|503|404", text)
        ]  # they have no images


# ── markup in metadata ───────────────────────────────────────────────────────────────────────────────────────────

PAYLOADS = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload=window.ran=1>',
    "'-window.ran=1-'",
    "{{constructor.constructor('window.ran=1')()}}",
    "javascript:window.ran=1",
    "</title><script>window.ran=1</script>",
    "&lt;b&gt;\u202etxt",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markup_in_names_traits_and_addresses_is_text(copied: Workspace, open_page: Any, payload: str) -> None:
    hostile = json.dumps(
        [{"trait_type": payload, "value": payload}, {"trait_type": "Inks", "value": 3, "display_type": payload}]
    )
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute(
            "UPDATE collection SET name = ?, symbol = ?, description = ?, external_url = ?",
            (payload, payload, payload, "javascript:window.ran=1"),
        )
        ledger.execute("UPDATE token SET attributes = ?", (hostile,))
        ledger.execute("UPDATE run SET model = ?, renderer = ?, encoder = ?", (payload, payload, payload))
    with serving(application(copied)) as url:
        page = open_page(url)
        expect(page.locator("h1")).to_have_text(payload)
        expect(page.locator(".facets li .name").first).to_have_text(payload)
        page.locator(".facets li label").first.click()
        expect(page.locator(".chip")).to_contain_text(payload)
        page.locator(".cell").first.click()
        expect(page.locator(".traits .value").first).to_have_text(payload)
        expect(page.locator(".pairs dd").filter(has_text=payload)).to_have_count(3)
        page.locator(".traits a").first.click()
        expect(page.locator(".chip")).to_contain_text(payload)
        assert page.evaluate("window.ran") is None
        assert (
            page.locator("a[href^='javascript' i], h1 *:not(.id), .traits script, .traits img, .traits svg").count()
            == 0
        )


@pytest.mark.parametrize(
    "address",
    [
        "#/1?trait=<script>window.ran=1</script>:x&owner=<img src=x onerror=window.ran=1>",
        "#/1?q=<img src=x onerror=window.ran=1>",
        "#/<img src=x onerror=window.ran=1>",
        "#/1/token/<svg onload=window.ran=1>",
        "#javascript:window.ran=1",
        "#/1?trait=%E0%A4%A:%&sort=<script>",
    ],
)
def test_markup_in_an_address_is_text(served: Served, open_page: Any, address: str) -> None:
    page = open_page(f"{served.url}/{address}")
    expect(page.locator("main[aria-busy=false]")).to_be_attached()
    assert page.evaluate("window.ran") is None
    page.complaints[:] = [text for text in page.complaints if not re.search("422|404", text)]  # told by Chromium itself


def test_an_svg_in_place_of_an_image_runs_nothing_wherever_it_is_opened(copied: Workspace, open_page: Any) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(2)</script></svg>"
    digest = hashlib.sha256(svg).digest()
    copied.image(1, 3).write_bytes(svg)
    with Ledger(copied.ledger) as ledger, ledger.atomic():
        ledger.execute("UPDATE token SET image_sha256 = ? WHERE token_id = 3", (digest,))
    with serving(application(copied)) as url:
        page = open_page(f"{url}/lino/3")
        expect(page.get_by_text("The image cannot be read.")).to_be_visible()
        answer = page.request.get(f"{url}/media/1/3/{digest.hex()[:8]}/image")
        assert answer.headers["content-disposition"] == "attachment"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        page.evaluate(
            "u => { const f = document.createElement('iframe'); f.src = u; document.body.append(f); }",
            f"{url}/media/1/3/{digest.hex()[:8]}/image",
        )
        page.wait_for_timeout(500)
        page.complaints[:] = [text for text in page.complaints if "dialog" in text]  # CSP tells what it refused


def test_the_page_cannot_be_framed_and_runs_no_script_but_its_own(served: Served, open_page: Any) -> None:
    page = open_page(served.url)
    expect(page.locator("h1")).to_be_visible()
    page.evaluate(
        "() => { const s = document.createElement('script'); try { s.textContent = 'window.ran=1' } catch { } document.body.append(s); }"
    )
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")
    assert page.evaluate("window.ran") is None
    policy = page.request.get(served.url).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    page.complaints.clear()  # what CSP said of these attempts
