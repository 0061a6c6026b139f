"""A picture is dropped on the show, and the browser itself reads which work it is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from conftest import REPOSITORY, pipeline_in
from galleries import application, serving
from PIL import Image
from playwright.sync_api import Page, expect

from pipeline.base.workspace import Workspace


def test_the_browser_names_the_work_of_a_copy_and_of_a_cut(tmp_path: Path, open_page: Any) -> None:
    run = pipeline_in(tmp_path)
    assert (
        run("mint", "--count", "1", "--seed", "5", "--size", "256", "--watermark", "yes", "--name", "Marked").code == 0
    )
    picture = Image.open(tmp_path / run("show", "1", "--json").json["file"])
    picture.save(tmp_path / "copy.jpg", quality=60)
    picture.crop((3, 5, 250, 254)).save(tmp_path / "cut.png")
    Image.new("RGB", (300, 300)).save(tmp_path / "other.png")
    (tmp_path / "none.png").write_text("no picture")
    with serving(application(Workspace(tmp_path / "workspace"))) as url:
        page: Page = open_page(f"{url}/detect")
        for name, told in (
            ("copy.jpg", "It is Marked #1. This is"),
            ("cut.png", "It is Marked #1. A part of it was cut off."),
            ("other.png", "There is no mark of this show"),
            ("none.png", "cannot open it as a picture"),
        ):
            page.set_input_files(".drop input", tmp_path / name)
            expect(page.locator(".found")).to_contain_text(told, timeout=60_000)


def test_the_places_that_the_browser_reads_are_those_of_the_code() -> None:
    checked = subprocess.run([REPOSITORY / "scripts/watermark-places", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
