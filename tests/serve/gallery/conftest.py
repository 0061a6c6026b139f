"""One small real collection, its server, and a real browser, shared by all tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from galleries import COUNT, Served, application, mint_in, serving
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect

from pipeline.base.workspace import Workspace
from pipeline.mint.devnet import devnet

WAIT_MS = 30_000  # for the browser on a busy machine
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Twelve tokens in two batches, minted as a user does it. Tests that change it take a `copied` one."""
    words = ("--name", "Lino", "--count", str(COUNT), "--batch", "6", "--size", "128", "--seed", "5")
    return mint_in(tmp_path_factory.mktemp("minted"), *words)


@pytest.fixture
def copied(minted: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the collection, to be changed."""
    shutil.copytree(minted.folder, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def chain(minted: Workspace) -> Iterator[str]:
    """The collection's own Anvil, running."""
    with devnet(minted.chain / "anvil") as url:
        yield url


@pytest.fixture(scope="session")
def served(minted: Workspace, chain: str) -> Iterator[Served]:
    with serving(application(minted)) as url:
        yield Served(url, minted)


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open an address in a window of its own, high enough for all twelve cells. At the end no page may have complained, to anybody."""
    complaints: list[str] = []
    contexts = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def dismiss(dialog: Dialog) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def opened(address: str, *, init: str = "", expose: Any = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1600}, **options})
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        page.on("dialog", dismiss)
        if expose is not None:
            page.expose_function("toTheChain", expose)
        if init:
            page.add_init_script(init)
        page.goto(address)
        page.complaints = complaints  # type: ignore[attr-defined]  # for tests that expect some
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
