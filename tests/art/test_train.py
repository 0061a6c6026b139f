"""The trainer: stopped anywhere it continues bit for bit, alone or with others, and it says what goes wrong."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import two_processes
from conftest import REPOSITORY
from torch import Tensor, nn

from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.models.blueprint import MODELS, Blueprint, Recipe, blueprint
from pipeline.art.models.losses import LOSSES
from pipeline.art.models.mlp_gan import Critic, Generator, MlpGanConfig
from pipeline.art.train.alarms import CHANCES, GRACE, PATIENCE, STILL, WINDOW, Watch
from pipeline.art.train.data import Pictures, read_digits
from pipeline.art.train.games import game_of
from pipeline.art.train.memorisation import find_copies, picture_pairs
from pipeline.art.train.processes import Processes
from pipeline.art.train.runs import Settings, Told, Until, begin_or_continue, read_settings, train
from pipeline.art.train.trainer import RECORD_EVERY, Trainer, read_state
from pipeline.base.errors import BadArgument, GenerationError, WorkspaceUnwritable


@pytest.fixture(scope="module")
def digits() -> Pictures:
    return read_digits(16, 1)[0]


def trainer(digits: Pictures, name: str = "mlp_gan_bn", **changes: Any) -> Trainer:
    model = blueprint(name)
    recipe = replace(model.recipe, batch=8, **changes)
    return Trainer(game_of(model, model.config(size=16, channels=1), recipe, digits, "digits"))


def run(folder: Path, trainer: Trainer, steps: int, save_every: int = 10, told: Told | None = None) -> Any:
    return train(folder, trainer, Until(steps, save_every=save_every), told or Told())


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


# ── one trainer for all ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name in MODELS if not blueprint(name).draws_its_pictures])
def test_a_stopped_training_ends_with_the_weights_of_one_that_went_on(
    name: str, digits: Pictures, tmp_path: Path
) -> None:
    """Weights, averages, optimisers, dropout, augmentation, style mixing: all that the next step depends on."""
    whole = trainer(digits, name)
    for _ in range(6):
        whole.advance()
    first = trainer(digits, name)
    for _ in range(3):
        first.advance()
    run(tmp_path, first, 3)
    torch.manual_seed(99)  # another process has other numbers
    second = trainer(digits, name)
    second.restore(tmp_path / "state.pt")
    for _ in range(3):
        second.advance()
    for part in ("generator", "average", "partner"):
        assert same(getattr(whole, part), getattr(second, part)), part


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_any_adversarial_model(loss: str, digits: Pictures) -> None:
    recipe = Recipe(batch=8).with_loss(loss)
    changed = trainer(digits, "mlp_gan", loss=loss, penalty=recipe.penalty, gamma=recipe.gamma)
    before = [tensor.clone() for tensor in changed.generator.state_dict().values()]
    record = changed.advance()
    assert all(np.isfinite(value) for value in record.values())
    assert (record["penalty"] > 0) == (recipe.penalty != "none")
    assert not all(map(torch.equal, before, changed.generator.state_dict().values()))


def test_a_penalty_that_is_taken_seldom_weighs_as_much_more(digits: Pictures) -> None:
    """The first step has it in both cases; its gradient is as many times larger."""
    gradients = []
    for every in (1, 4):
        one = trainer(digits, "mlp_gan", penalty="r1", gamma=1000.0, penalty_every=every)
        one.advance()
        last = one.partner.layers[1].weight.grad  # type: ignore[union-attr,index]
        assert last is not None
        gradients.append(last.norm().item())
    assert gradients[1] / gradients[0] == pytest.approx(4, rel=0.15)


def test_the_average_follows_weights_and_batch_statistics(digits: Pictures) -> None:
    one = trainer(digits, ema=0.5)
    before = {name: tensor.clone() for name, tensor in one.average.state_dict().items()}
    one.advance()
    keep = 1 / 10  # a short memory at first
    for name, tensor in one.average.state_dict().items():
        if tensor.is_floating_point():
            expected = torch.lerp(before[name], one.generator.state_dict()[name], 1 - keep)
            assert torch.allclose(tensor, expected, atol=1e-6), name


def test_two_rates_are_two_rates(digits: Pictures) -> None:
    one = trainer(digits, lr=1e-4, critic_lr=4e-4)
    one.advance()
    assert one.generator_adam.param_groups[0]["lr"] == 1e-4 and one.partner_adam.param_groups[0]["lr"] == 4e-4


# ── the folder of a run ──────────────────────────────────────────────────────────────────────────────────────


def test_a_run_leaves_weights_grids_records_and_tensorboard(digits: Pictures, tmp_path: Path) -> None:
    heard: list[dict[str, float]] = []
    report = run(tmp_path, trainer(digits), 20, told=Told(record=heard.append))
    assert report.steps == 20 and report.weights == tmp_path / WEIGHTS
    assert sorted(path.name for path in (tmp_path / "grids").iterdir()) == ["0000010.png", "0000020.png"]
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 11, 20] and records[-1]["compared"] == 128
    assert [record["step"] for record in heard] == [1, 11]
    assert {"critic", "generator", "gap", "spread", "generator_gradient", "lr"} <= set(records[0])
    assert (tmp_path / "memorised.png").exists() and "1,400 pictures" in (tmp_path / "data.txt").read_text()

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("critic")] == [1, 11]
    assert [event.step for event in events.Images("grid")] == [10, 20]
    assert not list(tmp_path.rglob("*.partial"))


def test_checkpoints_change_nothing_that_follows(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path / "often", trainer(digits), 12, save_every=1)
    run(tmp_path / "once", trainer(digits), 12, save_every=100)
    assert (tmp_path / "often" / WEIGHTS).read_bytes() == (tmp_path / "once" / WEIGHTS).read_bytes()


def test_records_of_steps_that_are_taken_again_are_dropped(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path, trainer(digits), 10)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 21, "critic": 1.0}\n{"step": 31, "cri')
    run(tmp_path, trainer(digits), 20)
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 11, 20]


def test_a_run_continues_only_as_it_began(tmp_path: Path) -> None:
    settings = Settings("dcgan", {"size": 28}, {"lr": 0.1, "batch": 8}, "digits", "CC BY 4.0")
    assert begin_or_continue(tmp_path, settings) == settings
    assert begin_or_continue(tmp_path, settings) == settings == read_settings(tmp_path)
    with pytest.raises(BadArgument, match=r"lr 0.1 \(not 0.2\)") as caught:
        begin_or_continue(tmp_path, replace(settings, recipe={"lr": 0.2, "batch": 8}))
    assert "--resume" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "nft-pipeline/run/v1"}'])
def test_a_damaged_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(GenerationError, match="cannot be read"):
        read_settings(tmp_path)


def test_a_pipe_or_a_device_in_the_place_of_a_run_or_a_state_is_refused(digits: Pictures, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    (tmp_path / "state.pt").symlink_to("/dev/zero")
    for read in (read_settings, lambda folder: read_state(folder / "state.pt")):
        with pytest.raises(GenerationError):
            read(tmp_path)
    (tmp_path / "begun").mkdir()
    os.mkfifo(tmp_path / "begun" / "log.jsonl")
    with pytest.raises(WorkspaceUnwritable, match="no plain file"):
        run(tmp_path / "begun", trainer(digits), 1)


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, ("/tmp/nft-pipeline-a-state-was-run",)


def test_a_state_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"step": Bomb()}, tmp_path / "archive.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("archive.pt", "plain.pt"):
        with pytest.raises(GenerationError, match="cannot continue from") as caught:
            read_state(tmp_path / name)
        assert caught.value.hint
    assert not Path("/tmp/nft-pipeline-a-state-was-run").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_state_is_refused(digits: Pictures, tmp_path: Path, share: float) -> None:
    run(tmp_path, trainer(digits), 1)
    data = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(GenerationError, match="cannot continue from"):
        trainer(digits).restore(tmp_path / "state.pt")


def test_a_state_of_another_run_is_refused(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path, trainer(digits), 1)
    with pytest.raises(GenerationError, match="other recipe"):
        trainer(digits, lr=0.01).restore(tmp_path / "state.pt")
    with pytest.raises(GenerationError, match="no training at"):
        trainer(digits).restore(tmp_path / "nowhere" / "state.pt")
    two = Trainer(trainer(digits).game, processes=Processes(0, 2))
    with pytest.raises(GenerationError, match="trained by 1 processes together.*number: 2") as caught:
        two.restore(tmp_path / "state.pt")
    assert f"--nproc-per-node 1 -m pipeline train --resume {tmp_path}" in caught.value.hint


def test_pictures_that_came_or_went_are_recorded_and_end_no_run(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path, trainer(digits), 10)
    heard: list[str] = []
    fewer = replace(digits, images=digits.images[:1300], names=digits.names[:1300])
    run(tmp_path, trainer(fewer), 20, told=Told(notice=heard.append))
    said = "the folder changed before step 11: going on with 1,300 pictures"
    assert any(text.startswith(said) for text in heard)
    run(tmp_path, trainer(fewer), 30, told=Told(notice=heard.append))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["text"].startswith(said) for line in lines if line.get("alarm") == "pictures"] == [True]


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────


class Fading(Generator):
    """A generator that collapses: after a while all its pictures are the same."""

    calls = 0

    def forward(self, z: Tensor) -> Tensor:
        type(self).calls += 1
        return super().forward(z) * (1.0 if self.calls < 2 * RECORD_EVERY * 3 * (GRACE + WINDOW) else 0.01)


def test_a_collapse_lowers_the_rates_and_then_stops_the_run(digits: Pictures, tmp_path: Path) -> None:
    model = Blueprint("fading", MlpGanConfig, {"batch_norm": True}, Fading, Critic, Recipe(batch=32, lr=1e-3))
    fading = Trainer(game_of(model, model.config(size=16), model.recipe, digits, "digits"))
    heard: list[str] = []
    with pytest.raises(GenerationError, match="training collapse.*pictures differ") as caught:
        run(tmp_path, fading, 3000, save_every=100, told=Told(notice=heard.append))
    assert "lower --lr" in caught.value.hint and (tmp_path / WEIGHTS).exists()
    alarms = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines() if "alarm" in line]
    assert {"collapse"} <= {alarm["alarm"] for alarm in alarms} and heard[-1] == alarms[-1]["text"]
    assert fading.rate < 1


def test_a_divergence_stops_the_run_and_leaves_the_last_sound_checkpoint(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path, trainer(digits, loss="wgan-gp"), 10)
    before = (tmp_path / WEIGHTS).read_bytes()
    wild = trainer(digits, loss="wgan-gp")
    wild.restore(tmp_path / "state.pt")
    wild.rate = 1e9
    wild.seconds = 0.0
    state = wild.state()
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(GenerationError, match="diverged") as caught:
        run(tmp_path, trainer(digits, loss="wgan-gp"), 60, save_every=7)
    assert "stands" in caught.value.hint
    assert (tmp_path / WEIGHTS).read_bytes() == before or read_state(tmp_path / "state.pt")["step"] < 60


def watched(values: list[float], name: str = "spread", won: float | None = None) -> list[str]:
    """The kinds of alarm that a series of values gives."""
    watch, kinds = Watch(won), []
    for value in values:
        alarm = watch.look({"spread": 1.0, "critic": 1.0} | {name: value})
        kinds += [alarm.kind + ("!" if alarm.stop else "")] if alarm else []
    return kinds


def test_alarms_see_what_they_are_for() -> None:
    assert watched([1.0] * 100) == []
    assert watched([0.02 * i for i in range(50)]) == []  # slow beginnings are no collapse
    assert watched([1.0] * 20 + [0.3] * 10) == ["collapse"]
    assert watched([1.0] * 20 + [0.3, 1.0] * 10) == []  # a single bad record is none either
    never = [0.25] * (STILL + 2 * PATIENCE + WINDOW)  # nothing falls, since nothing ever rose
    assert watched(never) == ["collapse"] * CHANCES + ["collapse!"]
    # Measured: the slowest of healthy runs, and one of 400 steps that drew nothing but the mean digit
    slow = (
        "19 49 58 62 58 52 50 66 77 72 73 70 65 55 45 43 65 57 70 69 80 64 67 85 92 94 73 76 91 109 124 110 120 98 105"
    )
    mean = "353 302 208 273 298 249 292 227 214 200 275 229 216 274 219 173 224 225 313 420 366 269 418 336 279 236 285 230 235 239 218 225 310 326"
    assert watched([int(value) / 1000 for value in slow.split()]) == []
    assert watched([int(value) / 1000 for value in mean.split()]) == ["collapse"]
    falling = [4.0 * 0.3 ** (i // (PATIENCE + 2 * WINDOW)) for i in range(200)]
    assert watched(falling)[: CHANCES + 1] == ["collapse"] * CHANCES + ["collapse!"]
    assert watched([0.01] * 20, "critic", won=0.1) == ["won"]
    assert watched([0.01] * 20, "critic") == []
    for value in (float("nan"), float("inf"), -1e9):
        assert watched([1.0, value], "critic") == ["diverged!"]


def test_what_an_alarm_did_survives_a_stop(digits: Pictures, tmp_path: Path) -> None:
    one = trainer(digits)
    for value in [1.0] * 20 + [0.2] * 5:
        one.judge({"spread": value})
    assert one.rate == 0.5
    run(tmp_path, one, 1)
    again = trainer(digits)
    again.restore(tmp_path / "state.pt")
    assert (again.rate, again.watch.collapses, again.watch.recent) == (0.5, 1, one.watch.recent)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from dataclasses import replace
import torch
torch.set_num_threads(1)
from pipeline.base.errors import GenerationError
from pipeline.art.models.blueprint import blueprint
from pipeline.art.train.data import read_digits
from pipeline.art.train.games import game_of
from pipeline.art.train.runs import Told, Until, train
from pipeline.art.train.trainer import Trainer
model = blueprint("mlp_gan")
recipe = replace(model.recipe, batch=int(sys.argv[2]))
trainer = Trainer(game_of(model, model.config(size=16), recipe, read_digits(16, 1)[0], "digits"))
mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = mapped + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    train(Path(sys.argv[1]), trainer, Until(2), Told(notice=print))
except GenerationError as error:
    print("refused:", error, error.hint)
"""


def out_of_memory(folder: Path, batch: int, room: int) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(folder), str(batch), str(room)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path) -> None:
    told = out_of_memory(tmp_path, 1 << 18, 400 << 20)
    assert f"a batch of {1 << 18} does not fit into memory: going on with {1 << 17}" in told
    assert "refused" not in told and (tmp_path / WEIGHTS).exists()
    assert read_state(tmp_path / "state.pt")["batch"] < 1 << 17


def test_memory_that_never_suffices_is_an_error_that_says_so(digits: Pictures) -> None:
    one = trainer(digits)
    one.halve_batch()
    with pytest.raises(GenerationError, match="out of memory at step 0 with a batch of 4") as caught:
        one.halve_batch()
    assert "--size" in caught.value.hint
    both = Trainer(one.game, processes=Processes(1, 2))
    both.batch = 6  # three for each of two processes
    with pytest.raises(GenerationError, match="out of memory") as caught:
        both.halve_batch()
    assert "fewer processes" in caught.value.hint


def test_a_full_disk_leaves_the_last_checkpoint(digits: Pictures, tmp_path: Path) -> None:
    run(tmp_path / "whole", trainer(digits), 20)
    run(tmp_path / "full", trainer(digits), 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        with pytest.raises(WorkspaceUnwritable, match=WEIGHTS) as caught:
            run(tmp_path / "full", trainer(digits), 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "same command again" in caught.value.hint and not list(tmp_path.rglob("*.partial"))
    assert read_state(tmp_path / "full" / "state.pt")["step"] == 10
    run(tmp_path / "full", trainer(digits), 20)
    assert (tmp_path / "full" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


# ── memorisation ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_planted_copy_is_found_and_shown_beside_its_original(digits: Pictures) -> None:
    rng = np.random.default_rng(0)
    fakes = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    original = digits.images[77].expand(3, -1, -1).permute(1, 2, 0).numpy()
    fakes[4] = np.clip(original.astype(int) + rng.integers(-4, 5, original.shape), 0, 255)
    fakes[9] = digits.images[3].expand(3, -1, -1).permute(1, 2, 0).numpy()[:, ::-1]  # a mirror image is one as well
    found = find_copies(fakes, digits)
    assert set(found.copies) == {4, 9} and found.compared == 12
    assert {(fake, real) for fake, real, _ in found.nearest[:2]} == {(4, 77), (9, 3)}
    pairs = picture_pairs(fakes, digits, found)
    column = [fake for fake, _, _ in found.nearest].index(4)
    assert np.array_equal(pairs[16:, column * 16 : (column + 1) * 16], original)


def test_unseen_pictures_are_no_copies(digits: Pictures) -> None:
    unseen = read_digits(16, 1)[2]
    found = find_copies(unseen.images[:200].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy(), digits)
    assert len(found.copies) <= 2 and 0.7 < found.median < 1.4


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────


def test_shares_of_a_batch_make_up_the_whole() -> None:
    batch = torch.arange(12)
    assert torch.equal(torch.cat([Processes(rank, 3).share(batch) for rank in range(3)]), batch)
    with pytest.raises(BadArgument, match="batch is 8"):
        Processes(0, 3).check(8)


def together_run(out: Path, what: str) -> None:
    """Run `two_processes.py` twice at once."""
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *(two_processes.__file__, str(out), what),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=280,
    )


@pytest.mark.parametrize("penalty", ["wgan-gp", "r1+r2"])
def test_two_processes_take_the_steps_of_one_with_the_whole_batch(tmp_path: Path, penalty: str) -> None:
    two_processes.main(tmp_path / "alone.pt", penalty)
    together_run(tmp_path / "together.pt", penalty)
    alone = torch.load(tmp_path / "alone.pt", weights_only=True)
    together = torch.load(tmp_path / "together.pt", weights_only=True)
    for player, tensors in alone.items():
        for name, tensor in tensors.items():
            assert torch.allclose(tensor, together[player][name], atol=2e-5), f"{player} {name}"


def test_memory_that_runs_out_in_one_process_halves_the_batch_of_both(tmp_path: Path) -> None:
    """In the first or the other, before, between and within the steps of the optimisers: none waits, none goes astray."""
    together_run(tmp_path, two_processes.SHORT_OF_MEMORY)
    for case in two_processes.CASES:
        folder = tmp_path / case
        state = read_state(folder / "state.pt")
        assert (state["step"], state["batch"]) == (6, 8), case
        told = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert ["a batch of 16" in record["text"] for record in told if "alarm" in record] == [True], case
        first, other = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
        for player, tensors in first.items():
            assert all(torch.equal(tensor, other[player][name]) for name, tensor in tensors.items()), f"{case} {player}"
