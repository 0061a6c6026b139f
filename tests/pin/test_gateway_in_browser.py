"""What a browser lets content do: art with a script in it must reach nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from pipeline.pin.gateway import gateway_app, serve_gateway
from pipeline.pin.store import CarStore

# Says in its title what it could do: run at all, and read what another root wrote into the storage of its origin.
_PROBE = b"""
let found; try { found = localStorage.getItem("secret"); localStorage.setItem("secret", location.host) } catch { found = "denied" }
document.documentElement.setAttribute("data-found", "ran " + found)
"""
_PAGE = b"<!doctype html><title>page</title><body><script>%s</script><h1>art</h1>" % _PROBE
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>%s</script></svg>' % _PROBE


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    store = CarStore(tmp_path)
    with serve_gateway(gateway_app(tmp_path), 0) as url:
        yield url, store


@pytest.mark.parametrize(("name", "content"), [("1.html", _PAGE), ("1.svg", _SVG), ("1", _SVG)])
def test_scripts_run_only_in_an_origin_of_their_root(
    browser: Browser, gateway: tuple[str, CarStore], name: str, content: bytes
) -> None:
    url, store = gateway
    roots = [store.put_directory([(name, content), ("salt", salt)]).cid for salt in (b"1", b"2")]
    page = browser.new_context().new_page()

    def found(address: str) -> str | None:
        page.goto(address)
        said: str | None = page.evaluate("document.documentElement.getAttribute('data-found')")
        return said

    for root in roots:
        assert found(f"{url}/ipfs/{root}/{name}") is None  # the origin that all content shares
    by_name = url.replace("127.0.0.1", "localhost")
    for root in roots:
        assert found(f"{by_name}/ipfs/{root}/{name}") == "ran null"  # moved to an origin of its own
        assert page.url == f"{by_name.replace('//', f'//{root}.ipfs.')}/{name}"
    assert found(f"{by_name}/ipfs/{roots[0]}/{name}") == f"ran {page.url.split('/')[2]}"  # and that origin keeps


def test_a_list_leads_to_its_files_and_runs_nothing(browser: Browser, gateway: tuple[str, CarStore]) -> None:
    url, store = gateway
    evil = '"><img src=x onerror="document.title=1">.txt'
    root = store.put_directory([(evil, b"evil"), ("a/1.txt", b"one"), ("\u00fc #%41?.txt", b"odd")]).cid
    page = browser.new_context().new_page()
    for start in f"{url}/ipfs/{root}/", f"http://{root}.ipfs.{url.replace('127.0.0.1', 'localhost')[7:]}/":
        for name, data in (evil, "evil"), ("\u00fc #%41?.txt", "odd"):
            page.goto(start)
            assert page.title() == f"/ipfs/{root}/"
            page.get_by_role("link", name=name, exact=True).click()
            assert page.inner_text("body") == data
        page.goto(f"{start}a/")
        page.get_by_role("link", name="..", exact=True).click()
        assert page.url == start
