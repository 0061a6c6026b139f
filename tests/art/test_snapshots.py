"""What is kept of a run, what its page shows, and what becomes of one that collapsed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Pipeline

from pipeline.art.draw import load_generator
from pipeline.art.draw.checkpoint import mark_collapsed, read_trained, write_trained
from pipeline.art.draw.notes import BEST, WEIGHTS
from pipeline.art.models.blueprint import blueprint
from pipeline.art.train.alarms import Watch
from pipeline.art.train.data import Pictures, read_digits
from pipeline.art.train.forecast import Forecast, forecast
from pipeline.art.train.games import game_of
from pipeline.art.train.metrics import picture_figures
from pipeline.art.train.page import MOST_POINTS, Curves, write_page
from pipeline.art.train.runs import Told, Until, train
from pipeline.art.train.snapshots import KEPT, Snapshots
from pipeline.art.train.trainer import Trainer


@pytest.fixture(scope="module")
def digits() -> Pictures:
    return read_digits(16, 1)[0]


def trainer(digits: Pictures) -> Trainer:
    model = blueprint("vae")
    return Trainer(game_of(model, model.config(size=16), replace(model.recipe, batch=8), digits, "digits"))


def test_a_run_keeps_its_best_and_its_last_snapshots_and_a_page(digits: Pictures, tmp_path: Path) -> None:
    report = train(tmp_path, trainer(digits), Until(14, save_every=2), Told())
    assert sorted(path.stem for path in (tmp_path / "snapshots").iterdir()) == [f"{n:07d}" for n in (6, 8, 10, 12, 14)]
    taken = [json.loads(line) for line in (tmp_path / "snapshots.jsonl").read_text().splitlines()]
    assert [one["step"] for one in taken] == [2, 4, 6, 8, 10, 12, 14] and KEPT == 5
    least = min(taken, key=lambda one: one["kid"])
    assert report.best == (tmp_path / BEST, least["step"], least["kid"])
    assert read_trained(tmp_path / BEST).notes["steps"] == least["step"]
    assert report.figures == {name: value for name, value in taken[-1].items() if name != "step"}
    assert {"kid", "coverage", "recall"} <= set(report.figures)
    page = (tmp_path / "page.html").read_text()
    for part in ("grids/0000014.png", "memorised.png", "<polyline", "Nearest training pictures", "KID"):
        assert part in page, part


def test_snapshots_that_will_be_taken_again_are_forgotten(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = blueprint("vae")
    write_trained(
        tmp_path / WEIGHTS, model, model.config(size=16), model.generator(model.config(size=16)).state_dict(), {}
    )
    kept = Snapshots(tmp_path, 0)
    for step, kid in ((10, 3.0), (20, 1.0), (30, 2.0)):
        kept.take(step, {"kid": kid}, collapsed=False)
    with (tmp_path / "snapshots.jsonl").open("a") as file:
        file.write('{"step": 40, "ki')  # a kill
    again = Snapshots(tmp_path, 10)
    assert again.best == {"step": 10, "kid": 3.0} and len(again.taken) == 1
    again.take(20, {"kid": 0.5}, collapsed=True)
    assert again.best == {"step": 10, "kid": 3.0}  # what collapsed is never the best
    assert [one["step"] for one in Snapshots(tmp_path, 99).taken] == [10, 20]


def test_figures_tell_pictures_from_noise_and_leave_every_random_number_alone(digits: Pictures) -> None:
    before = torch.get_rng_state()
    unseen = read_digits(16, 1)[2].images / 255
    real, noise = (
        picture_figures(digits.images[:200] / 255, unseen),
        picture_figures(torch.rand(200, 1, 16, 16), unseen),
    )
    assert abs(real["kid"]) < 0.1 < noise["kid"] and noise["coverage"] < 0.1 < real["coverage"]
    torch.set_rng_state(before)
    picture_figures(unseen[:20], unseen)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_watch_knows_how_long_pictures_are_all_alike() -> None:
    watch = Watch()
    for value in [1.0] * 20 + [0.3] * 6:
        watch.look({"spread": value})
    assert "pictures differ" in watch.fallen
    again = Watch()
    again.restore(watch.state())
    for value in [1.0] * 5:
        again.look({"spread": value})
    assert again.fallen == ""


def test_curves_are_thinned_out_and_a_page_shows_no_markup_of_others(tmp_path: Path) -> None:
    curves = Curves()
    for step in range(5 * MOST_POINTS):
        curves.add({"step": step, "critic": 1.0 / (step + 1)})
    assert MOST_POINTS / 2 <= len(curves.points) <= MOST_POINTS + 1 and curves.points[0]["step"] == 0
    write_page(tmp_path, {"learned from": "<script>x</script>"}, curves, [], ["<b>collapse</b>"])
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page and "<b>" not in page and "&lt;script&gt;" in page


def test_time_is_told_in_steps_beside_what_is_advised(digits: Pictures) -> None:
    slow = Forecast(seconds_per_step=0.5, advised=2000)
    assert slow.told(Until(seconds=600)).startswith(
        "at this rate 10 minutes give about 1,200 steps; 2,000 are advised: "
    )
    assert "--minutes 17" in slow.told(Until(seconds=600))
    assert slow.told(Until(seconds=6000)) == "at this rate 1.7 hours give about 12,000 steps; 2,000 are advised"
    assert "300 steps take about 2 minutes" in slow.told(Until(300))
    found = forecast(trainer(digits), 100)
    assert found and found.advised == 13 and found.seconds_per_step > 0


def test_weights_of_a_collapsed_run_are_minted_only_where_somebody_says_so(pipeline: Pipeline, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = blueprint("vae")
    sizes: Any = model.config(size=16)
    weights = tmp_path / "runs" / "x" / WEIGHTS
    write_trained(weights, model, sizes, model.generator(sizes).state_dict(), {"steps": 3})
    (weights.parent / BEST).write_bytes(weights.read_bytes())
    before = read_trained(weights)
    mark_collapsed(weights, "pictures differ 0.1 times")
    assert read_trained(weights).notes == {"steps": 3, "collapsed": "pictures differ 0.1 times"}
    assert all(torch.equal(before.tensors[name], tensor) for name, tensor in read_trained(weights).tensors.items())
    assert load_generator(weights).draw(1, 16).seed == 1  # who proves or continues something is not stopped

    sheet = ("generate", "--count", "1", "--sheet", "sheet.png", "--seed", "1", "--duplicate-bits", "off")
    refused = pipeline(*sheet, "--model", "runs/x")
    assert refused.code == 2 and "these collapsed (pictures differ 0.1 times)" in refused.err
    assert f"--model {Path('runs/x') / BEST} has the best before that" in refused.err
    assert pipeline(*sheet, "--model", f"runs/x/{BEST}").code == 0
    assert pipeline(*sheet, "--model", "runs/x", "--collapsed").code == 0
