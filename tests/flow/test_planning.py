"""What a call of `mint` means: begin, add, continue, tell, or refuse."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from other_values import OTHER

from pipeline.art.compose.voices import VOICES
from pipeline.art.source import About, open_source
from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, CollectionExists, ConstraintBroken, Corrupt, RunDiffers, UsageError
from pipeline.base.records import Address, Artwork, Attribute, BatchPlan, Fingerprint, Pin, PinnedBatch, PinnedRoot
from pipeline.base.workspace import Workspace
from pipeline.flow.more import idle, must_have_its_weights, wish_of, with_its_art
from pipeline.flow.plan import (
    Add,
    Begin,
    Continue,
    Finished,
    arguments_of,
    batch_size,
    collection_settings,
    command,
    decide,
    named_after,
    token_specs,
)
from pipeline.ledger import Ledger, RunPlan
from pipeline.serve.jobs import MoreTokens, NewCollection
from pipeline.settings import SETTINGS, Scope, Setting, Settings, load_settings

OWNER = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
MADE = Fingerprint("default", "00" * 32, "r1", "e1", 512, "cpu", "float32", 2)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def _config(tmp_path: Path, **flags: str) -> Settings:
    return load_settings(flags, {}, tmp_path)


def _plan(ledger: Ledger, config: Settings, count: int, decision: object, *, state: str = "running") -> int:
    """Enter what a decision leads to, as `mint` does, and optionally end it without minting."""
    with ledger.atomic():
        if isinstance(decision, Add):
            collection, start = (
                decision.collection.id,
                sum(run.count for run in ledger.runs.of(decision.collection.id)) + 1,
            )
        else:
            assert isinstance(decision, Begin)
            chain = ledger.collections.enter_chain(31337, bytes(32), "anvil")
            settings = collection_settings(config, decision.name, OWNER, About())
            collection, start = ledger.collections.plan(chain, settings), 1
        seed = ledger.collections.get(collection).seed
        specs = token_specs(seed, start, [OWNER] * count)
        plan = RunPlan(
            arguments_of(config, count),
            MADE,
            start,
            count,
            batch_size(config, count),
            ("embedded",),
            "http://127.0.0.1:8545",
        )
        run = ledger.runs.plan(collection, plan, specs)
        ledger.execute("UPDATE run SET state = ? WHERE id = ?", (state, run))
    return run


def _decide(ledger: Ledger, config: Settings, count: int, *, more: bool = False, new: bool = False) -> object:
    return decide(ledger, config, count, more=more, new=new)


def test_an_empty_workspace_begins_a_collection(ledger: Ledger, tmp_path: Path) -> None:
    assert _decide(ledger, _config(tmp_path), 50) == Begin("")


def test_what_nobody_named_has_the_name_of_its_art(ledger: Ledger, tmp_path: Path) -> None:
    def name_of(model: str) -> str:
        return named_after(ledger, open_source(_config(tmp_path, model=model)).about(), 5).name

    assert name_of("compose:braid") == "Braid" and name_of("compose") in {voice.capitalize() for voice in VOICES}
    assert name_of("default") == "Lino" and name_of(str(tmp_path / "secret" / "weights.safetensors")) == "Untitled"
    _plan(ledger, _config(tmp_path), 50, Begin("Braid"), state="reported")
    assert name_of("compose:braid") == "Braid 2"


def test_an_unfinished_run_continues_with_the_same_arguments(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path, size="128")
    run = _plan(ledger, config, 50, Begin("Lino"))
    decision = _decide(ledger, config, 50)
    assert isinstance(decision, Continue) and decision.run.id == run


@pytest.mark.parametrize(
    ("flags", "count", "told"),
    [
        ({}, 50, "--size 1024 instead of 128"),
        ({"size": "128"}, 60, "--count 60 instead of 50"),
        ({"size": "128", "seed": "3"}, 50, "--seed 3 instead of none"),
        ({"size": "128", "name": "Lino"}, 50, "--name Lino instead of none"),
    ],
)
def test_other_arguments_beside_an_unfinished_run_are_refused(
    ledger: Ledger, tmp_path: Path, flags: dict[str, str], count: int, told: str
) -> None:
    _plan(ledger, _config(tmp_path, size="128"), 50, Begin("Lino"))
    with pytest.raises(RunDiffers) as caught:
        _decide(ledger, _config(tmp_path, **flags), count)
    assert caught.value.exit_code == 2
    assert told in str(caught.value)
    assert "pipeline mint --count 50 --size 128" in caught.value.hint


@pytest.mark.parametrize("words", [{}, {"new": True}, {"more": True}])
def test_a_run_that_ended_unheard_is_told_before_anything_else_begins(
    ledger: Ledger, tmp_path: Path, words: dict[str, bool]
) -> None:
    config = _config(tmp_path)
    run = _plan(ledger, config, 50, Begin("Lino"), state="done")
    decision = _decide(ledger, config, 50, **words)
    assert isinstance(decision, Finished) and decision.run.id == run


def test_a_reported_run_is_told_again_or_added_to_or_followed(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path)
    _plan(ledger, config, 50, Begin("Lino"), state="reported")
    assert isinstance(_decide(ledger, config, 50), Finished)
    assert isinstance(_decide(ledger, config, 10, more=True), Add)
    assert _decide(ledger, config, 50, new=True) == Begin("")
    assert _decide(ledger, _config(tmp_path, name="Other"), 50) == Begin("Other")


def test_the_name_of_a_complete_collection_is_no_difference(ledger: Ledger, tmp_path: Path) -> None:
    run = _plan(ledger, _config(tmp_path), 50, Begin("Lino"), state="reported")
    told = _decide(ledger, _config(tmp_path, name="Lino"), 50)
    assert isinstance(told, Finished) and told.run.id == run
    with pytest.raises(CollectionExists) as caught:
        _decide(ledger, _config(tmp_path, name="Lino"), 60)
    assert "--count 60 instead of 50" in str(caught.value) and "--name" not in str(caught.value)


def test_every_finished_run_of_the_collection_can_be_asked_for_again(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path)
    first = _plan(ledger, config, 50, Begin("Lino"), state="reported")
    _plan(ledger, config, 10, _decide(ledger, config, 10, more=True), state="reported")
    decision = _decide(ledger, config, 50)
    assert isinstance(decision, Finished) and decision.run.id == first


def test_something_else_than_a_finished_run_needs_a_word(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path)
    _plan(ledger, config, 50, Begin("Lino"), state="reported")
    with pytest.raises(CollectionExists, match="--count 60 instead of 50") as caught:
        _decide(ledger, config, 60)
    assert "--more" in caught.value.hint and "--new" in caught.value.hint


def test_settings_fixed_at_deployment_cannot_be_changed_by_adding(ledger: Ledger, tmp_path: Path) -> None:
    _plan(ledger, _config(tmp_path), 50, Begin("Lino"), state="reported")
    with pytest.raises(CollectionExists, match="royalty_bps 7 instead of 500"):
        _decide(ledger, _config(tmp_path, royalty_bps="7"), 10, more=True)


def test_adding_to_nothing_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no collection to add to"):
        _decide(ledger, _config(tmp_path), 10, more=True)
    _plan(ledger, _config(tmp_path), 50, Begin("Lino"), state="reported")
    with pytest.raises(BadArgument, match="'Lino'"):
        _decide(ledger, _config(tmp_path, name="Lion"), 10, more=True)


def test_a_taken_name_is_refused_for_a_new_collection(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path, name="Mine")
    _plan(ledger, config, 50, Begin("Mine"), state="reported")
    with pytest.raises(CollectionExists):
        _decide(ledger, config, 50, new=True)


@pytest.mark.parametrize("name", ["", "x" * 32, "é" * 16])
def test_names_that_the_contract_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadArgument, match="1 to 31 bytes"):
        collection_settings(_config(tmp_path), name, OWNER, About())


def test_batches_are_small_for_small_runs(tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert [batch_size(config, count) for count in (1, 500, 501)] == [50, 50, 500]
    assert batch_size(_config(tmp_path, batch="7"), 501) == 7


def test_a_token_has_the_same_seed_whatever_its_run(tmp_path: Path) -> None:
    whole = list(token_specs(9, 1, [OWNER] * 20))
    parts = [*token_specs(9, 1, [OWNER] * 5), *token_specs(9, 6, [OWNER] * 15)]
    assert whole == parts
    assert len({spec.seed for spec in whole}) == 20


def test_the_command_that_continues_says_everything_that_was_chosen(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path, size="64", name="My Art", pin="embedded,kubo")
    _plan(ledger, config, 5, Begin("My Art"))
    run = ledger.runs.unfinished()
    assert run and command(run, config) == "pipeline mint --count 5 --name 'My Art' --size 64 --pin embedded,kubo"


# ── the plan in the ledger ───────────────────────────────────────────────────────────────────────────────────


def _artwork(token_id: int, path: Path) -> Artwork:
    return Artwork(token_id, 1, path, b"i" * 32, b"p" * 32, 7, (Attribute("palette", "dusk"), Attribute("inks", 3)))


def _sealed(plan: BatchPlan) -> PinnedBatch:
    images, metadata = (PinnedRoot(CID.dag_pb(byte * 32), 2, 10, b"c" * 32) for byte in (b"a", b"b"))
    return PinnedBatch(plan, images, metadata, (Pin(images.cid, "embedded", "proved"),))


def test_a_plan_is_cut_into_batches_that_hold_all_its_tokens(ledger: Ledger, tmp_path: Path) -> None:
    run = _plan(ledger, _config(tmp_path, batch="20"), 50, Begin("Lino"))
    batches = ledger.batches.undrawn(run)
    assert [(batch.start, batch.quantity) for batch in batches] == [(1, 20), (21, 20), (41, 10)]
    assert [spec.token_id for batch in batches for spec in ledger.tokens.specs(batch)] == list(range(1, 51))
    ledger.check()


def test_progress_is_kept_artwork_by_artwork_and_batch_by_batch(ledger: Ledger, tmp_path: Path) -> None:
    run = _plan(ledger, _config(tmp_path, batch="2"), 4, Begin("Lino"))
    first, second = ledger.batches.undrawn(run)
    for token_id in first.token_ids:
        ledger.tokens.record(1, _artwork(token_id, tmp_path / "x"))
    drawn = ledger.tokens.drawn(first, lambda token_id: tmp_path / "x")
    assert [artwork.attributes for artwork in drawn.values()] == [_artwork(1, tmp_path).attributes] * 2
    ledger.batches.seal(_sealed(first), "Lino")
    assert ledger.batches.undrawn(run) == [second]
    assert ledger.batches.unminted(run) == [replace(_sealed(first), pins=())]
    assert ledger.tokens.counts(1) == {"sealed": 2, "planned": 2}
    assert ledger.pins.proved_at(_sealed(first).images.cid) == ("embedded",)
    ledger.check()


def test_a_sealed_batch_can_never_be_sealed_with_other_content(ledger: Ledger, tmp_path: Path) -> None:
    run = _plan(ledger, _config(tmp_path, batch="2"), 2, Begin("Lino"))
    (batch,) = ledger.batches.undrawn(run)
    ledger.batches.seal(_sealed(batch), "Lino")
    other = PinnedBatch(batch, _sealed(batch).metadata, _sealed(batch).images)
    with pytest.raises(ConstraintBroken, match="keeps its content"):
        ledger.batches.seal(other, "Lino")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE token SET seed = seed + 1 WHERE token_id = 2",
        "UPDATE token SET recipient = 'x' || recipient WHERE token_id = 2",
        "UPDATE token SET image_sha256 = randomblob(32) WHERE token_id = 2",
        "UPDATE token SET attributes = '[]' WHERE token_id = 2",
        "UPDATE run SET arguments = '{}'",
        "UPDATE run SET weights_sha256 = 'x'",
        "UPDATE collection SET royalty_bps = 501",
        "UPDATE collection SET seed = seed + 1",
    ],
)
def test_a_changed_row_no_longer_matches_the_event_chain(ledger: Ledger, tmp_path: Path, damage: str) -> None:
    run = _plan(ledger, _config(tmp_path, batch="2", seed="5"), 2, Begin("Lino"))
    (batch,) = ledger.batches.undrawn(run)
    for token_id in batch.token_ids:
        ledger.tokens.record(1, _artwork(token_id, tmp_path))
    ledger.batches.seal(_sealed(batch), "Lino")
    ledger.check()
    with ledger.atomic():
        ledger.execute(damage)
    with pytest.raises(Corrupt, match="event chain"):
        ledger.check()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("token WHERE token_id = 4", "1 of its 2"),
        ("batch WHERE start = 3", "gone"),
        ("run", "gone"),
        ("collection", "gone"),
    ],
)
def test_a_row_that_is_gone_is_damage(ledger: Ledger, tmp_path: Path, table: str, told: str) -> None:
    """Also one that no event tells of: a run without one of its batches would be waited for without end."""
    _plan(ledger, _config(tmp_path, batch="2", seed="5"), 4, Begin("Lino"))
    ledger.check()
    with closing(sqlite3.connect(str(ledger.path), isolation_level=None)) as db:  # without foreign keys
        db.execute(f"DELETE FROM {table}")
        with pytest.raises(Corrupt, match=told):
            ledger.check()
        if table.startswith("batch"):
            db.execute("DELETE FROM token WHERE token_id > 2")
            with pytest.raises(Corrupt, match="2 of its 4"):
                ledger.check()


@pytest.mark.parametrize("text", ['[{"max_vclue":1}]', "[1]", "{", '{"a":1}'])
def test_json_that_was_not_written_there_is_damage(ledger: Ledger, tmp_path: Path, text: str) -> None:
    """Nothing hashes a row before its batch is sealed."""
    _plan(ledger, _config(tmp_path, batch="2", seed="5"), 2, Begin("Lino"))
    ledger.tokens.record(1, _artwork(1, tmp_path))
    with ledger.atomic():
        ledger.execute("UPDATE token SET attributes = ? WHERE token_id = 1", (text,))
    with pytest.raises(Corrupt, match="not hold what was written"):
        list(ledger.tokens.of(1))


def test_one_ledger_holds_many_collections_and_one_unfinished_run_of_each(ledger: Ledger, tmp_path: Path) -> None:
    config = _config(tmp_path)
    for name in ("One", "Two"):
        _plan(ledger, config, 3, Begin(name), state="reported")
    assert [len(list(ledger.tokens.of(collection.id))) for collection in ledger.collections.all()] == [3, 3]
    for name in ("Three", "Four"):
        _plan(ledger, config, 3, Begin(name))
    with pytest.raises(ConstraintBroken), ledger.atomic():
        ledger.execute("UPDATE run SET state = 'running' WHERE collection = 4")
        ledger.execute("INSERT INTO run SELECT * FROM run WHERE collection = 4")


def test_an_unfinished_run_keeps_nobody_from_another_collection(ledger: Ledger, tmp_path: Path) -> None:
    _plan(ledger, _config(tmp_path), 50, Begin("Lino"))
    assert _decide(ledger, _config(tmp_path), 3, new=True) == Begin("")
    assert _decide(ledger, _config(tmp_path, name="Other"), 3) == Begin("Other")
    with pytest.raises(RunDiffers, match="'Lino'"):
        _decide(ledger, _config(tmp_path, name="Lino"), 3, more=True)


# ── what follows from a setting's scope ──────────────────────────────────────────────────────────────────────

SCOPES = {
    Scope.WORKSPACE: "workspace ledger",
    Scope.NAME: "name",
    Scope.COLLECTION: "symbol description artist statement licence external_url royalty_bps royalty_receiver cover max_supply seed",
    Scope.ART: "layers model collapsed voice material palettes size proofs encoder watermark",
    Scope.RUN: "images editions pin to batch",
    Scope.GATE: "duplicate_bits",
    Scope.MACHINE: "device threads workers trust_workers",
    Scope.PLACE: "ipfs_api psa_url psa_origins s3_endpoint s3_bucket pinata_url gateway",
    Scope.PROOF: "quorum confirmations",
    Scope.NODE: "chain rpc_url network",
    Scope.KEY: "keystore signer_url signer_address",
    Scope.SIGNATURE: "certificate",
    Scope.SHOW: "title url gateway_url",
    Scope.LIMIT: "max_fee_gwei max_transaction_eth max_run_eth max_day_eth",
}
HELD = {*SCOPES[Scope.COLLECTION].split(), *SCOPES[Scope.ART].split()}
HELD |= {*SCOPES[Scope.RUN].split(), "chain", "rpc_url"}  # an RPC URL is another chain than the embedded one
IDLE = {name for scope in (Scope.GATE, Scope.MACHINE, Scope.PROOF, Scope.LIMIT) for name in SCOPES[scope].split()}
ASKED_OVER_HTTP = {
    "name",
    "symbol",
    "description",
    "artist",
    "statement",
    "licence",
    "external_url",
    "royalty_bps",
    "royalty_receiver",
    "max_supply",
    "seed",
}
ASKED_OVER_HTTP |= {"voice", "material", "palettes", "size", "watermark", "to", "batch"}


def test_every_setting_has_the_scope_that_these_tests_hold_it_to() -> None:
    assert {line.name: line.scope for line in SETTINGS} == {
        name: scope for scope, names in SCOPES.items() for name in names.split()
    }


@pytest.mark.parametrize("line", SETTINGS, ids=lambda line: line.name)
def test_a_run_holds_what_makes_its_tokens_and_nothing_else(ledger: Ledger, tmp_path: Path, line: Setting) -> None:
    plain, other = _config(tmp_path), _config(tmp_path, **{line.name: OTHER[line.name]})
    _plan(ledger, plain, 5, Begin("Lino"))
    if line.name == "name":
        assert _decide(ledger, other, 5) == Begin(other.collection.name)
    elif line.name in HELD:
        with pytest.raises(RunDiffers, match=r"--chain" if line.name == "rpc_url" else line.flag):
            _decide(ledger, other, 5)
    else:
        assert isinstance(_decide(ledger, other, 5), Continue)


@pytest.mark.parametrize("line", SETTINGS, ids=lambda line: line.name)
def test_a_finished_run_tells_what_it_has_no_use_for(ledger: Ledger, tmp_path: Path, line: Setting) -> None:
    ledger.runs.set_gate(_plan(ledger, _config(tmp_path), 5, Begin("Lino"), state="reported"), 4)
    (run,) = ledger.runs.of(1)
    assert idle(_config(tmp_path, **{line.name: OTHER[line.name]}), run) == ([line.flag] if line.name in IDLE else [])


@pytest.mark.parametrize("line", SETTINGS, ids=lambda line: line.name)
def test_more_tokens_have_the_art_of_their_collection(ledger: Ledger, tmp_path: Path, line: Setting) -> None:
    """A value that the call says itself is warned of; what only stands around it gives way."""
    told: list[str] = []
    _plan(ledger, _config(tmp_path, **{line.name: OTHER[line.name]}), 5, Begin("Lino"), state="reported")
    if line.name == "images":
        with pytest.raises(BadArgument, match="--images"):
            with_its_art(ledger, _config(tmp_path), told.append)
        return
    around = load_settings({}, {line.variable: line.said(line.default)} if line.scope is Scope.ART else {}, tmp_path)
    taken = with_its_art(ledger, around, told.append)
    is_art = line.scope is Scope.ART
    assert taken.text(line.name) == (OTHER[line.name] if is_art else line.said(line.default))
    assert not told
    if is_art:
        said = with_its_art(ledger, _config(tmp_path, **{line.name: line.said(line.default)}), told.append)
        assert said.value(line.name) == line.default and line.flag in told[0] and OTHER[line.name] in told[0]


@pytest.mark.parametrize("name", SCOPES[Scope.COLLECTION].split())
def test_what_the_contract_says_cannot_be_changed_by_adding(ledger: Ledger, tmp_path: Path, name: str) -> None:
    _plan(ledger, _config(tmp_path, seed="5"), 5, Begin("Lino"), state="reported")
    with pytest.raises(CollectionExists, match=name):
        _decide(ledger, _config(tmp_path, **{name: OTHER[name]}), 10, more=True)
    around = load_settings({}, {f"PIPELINE_{name.upper()}": OTHER[name]}, tmp_path)
    told: list[str] = []
    with_its_art(ledger, around, told.append)
    assert isinstance(_decide(ledger, around, 10, more=True), Add) and (name in told[0] if name != "cover" else True)


def test_a_request_says_what_names_no_file_and_no_server_of_ours() -> None:
    assert {line.name for line in SETTINGS if line.remote} == ASKED_OVER_HTTP
    assert {*NewCollection.model_fields} == {*ASKED_OVER_HTTP, "count", "confirm_name"}
    assert {*MoreTokens.model_fields} == {"to", "batch", "count", "confirm_name"}


def test_other_weights_need_a_word(ledger: Ledger, tmp_path: Path) -> None:
    _plan(ledger, _config(tmp_path), 5, Begin("Lino"), state="reported")
    (run,) = ledger.runs.of(1)
    now = Fingerprint("default", "11" * 32, "r1", "e1", 512, "cpu", "float32", 1)
    with pytest.raises(BadArgument, match="weights of the tokens so far"):
        must_have_its_weights(run, now, _config(tmp_path))
    must_have_its_weights(run, now, _config(tmp_path, model="default"))
    must_have_its_weights(run, replace(now, weights_sha256="00" * 32), _config(tmp_path))


@pytest.mark.parametrize(
    ("total", "state", "wanted"),
    [(5, "reported", None), (8, "reported", 3), (5, "running", 5)],
)
def test_a_total_is_what_is_missing(ledger: Ledger, tmp_path: Path, total: int, state: str, wanted: int | None) -> None:
    _plan(ledger, _config(tmp_path), 5, Begin("Lino"), state=state)
    workspace = Workspace(tmp_path)
    wish = wish_of(_config(tmp_path), None, workspace, print, more=False, new=False, total=total)
    if wanted is None:
        assert wish.complete is not None and wish.complete.count == 5
    else:
        assert wish.complete is None and wish.count == wanted and wish.more == (state == "reported")


def test_a_total_below_what_there_is_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    _plan(ledger, _config(tmp_path), 5, Begin("Lino"), state="reported")
    with pytest.raises(BadArgument, match="--total is 3; expected 5 or more"):
        wish_of(_config(tmp_path), None, Workspace(tmp_path), print, more=False, new=False, total=3)


def test_a_total_begins_a_collection_where_there_is_none(tmp_path: Path) -> None:
    wish = wish_of(_config(tmp_path), None, Workspace(tmp_path / "w"), print, more=False, new=False, total=4)
    assert (wish.count, wish.more, wish.complete) == (4, False, None)
    with pytest.raises(BadArgument, match="--total"):
        wish_of(_config(tmp_path), 2, Workspace(tmp_path / "w"), print, more=False, new=False, total=4)
    with pytest.raises(UsageError, match="--more"):
        wish_of(_config(tmp_path), 2, Workspace(tmp_path / "w"), print, more=True, new=True)
