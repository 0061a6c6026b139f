"""What only a ledger at a server meets: who may be it, what stands between, connections that are lost, several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import REPOSITORY, pipeline_in
from mint.conftest import House
from mint.plans import open_plan, sealed_batches
from postgres import PASSWORD, Between, Postgres, text_of

from pipeline.base.errors import (
    BadArgument,
    ConstraintBroken,
    Corrupt,
    LedgerRefused,
    LedgerUnreachable,
    LimitReached,
    WorkspaceLocked,
    WorkspaceUnwritable,
)
from pipeline.base.workspace import Server
from pipeline.ledger import Ledger
from pipeline.ledger.copy import contents, copy_ledger
from pipeline.mint.chain import connect
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import Limits
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer
from pipeline.mint.stage import mint
from pipeline.settings import Settings

COMMIT = b"COMMIT\0"
SECOND_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # Anvil's second account


@pytest.fixture
def place(postgres: Postgres) -> Server:
    return postgres.place()


@pytest.fixture
def between(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    monkeypatch.setenv("PIPELINE_POSTGRES_PASSWORD", PASSWORD)
    with Between(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def through(postgres: Postgres, between: Between) -> Server:
    """A ledger behind the proxy."""
    place = Server(postgres.url_by_tcp(postgres.new(), port=between.port))
    Ledger(place).close()
    return place


def _log(ledger: Ledger, *refs: str) -> None:
    for ref in refs:
        with ledger.atomic():
            ledger.log("test", ref)


# ── who may keep it ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://minter:hunter22@127.0.0.1/art", "without a password"),
        ("postgresql://127.0.0.1/art?password=hunter22", "without a password"),
        ("postgresql://127.0.0.1/", "names no database"),
        ("mysql://127.0.0.1/art", "postgresql://HOST"),
        ("postgresql://127.0.0.1:port/art", "postgresql://HOST"),
        ("postgresql://127.0.0.1/art?gssencmode=x", "not gssencmode"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused_unseen(url: str, told: str) -> None:
    with pytest.raises(BadArgument, match=told) as caught:
        Settings.of(ledger=url)
    assert "hunter22" not in str(caught.value)


def test_a_password_comes_from_the_environment_and_a_wrong_one_is_told_without_it(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Server(postgres.url_by_tcp(postgres.new()))
    monkeypatch.setenv("PIPELINE_POSTGRES_PASSWORD", PASSWORD)
    with Ledger(place) as ledger:
        _log(ledger, "one")
    monkeypatch.setenv("PIPELINE_POSTGRES_PASSWORD", "wrong-horse-55")
    with pytest.raises(LedgerRefused, match="password authentication failed") as caught:
        Ledger(place)
    assert "wrong-horse-55" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("wrong", ["database", "port", "role"])
def test_an_address_that_leads_nowhere_is_told_as_what_it_is(postgres: Postgres, wrong: str) -> None:
    urls = {
        "database": postgres.url("public", database="nowhere"),
        "port": postgres.url("public").replace(f"port={postgres.port}", "port=1"),
        "role": postgres.url("public", "nobody_known"),
    }
    kind = LedgerUnreachable if wrong == "port" else LedgerRefused
    with pytest.raises(kind, match="does not exist|No such file|refused") as caught:
        Ledger(Server(urls[wrong]))
    assert caught.value.hint


def test_a_role_without_rights_is_told_which_it_needs(postgres: Postgres) -> None:
    schema = postgres.new()
    postgres.ask(f"CREATE ROLE guest_{schema} LOGIN; GRANT USAGE ON SCHEMA {schema} TO guest_{schema}")
    with pytest.raises(LedgerRefused, match="permission denied") as caught:
        Ledger(Server(postgres.url(schema, f"guest_{schema}")))
    assert "GRANT" in caught.value.hint


def test_an_older_server_is_refused_before_anything_is_made(postgres: Postgres, between: Between) -> None:
    schema = postgres.new()
    between.to_client = lambda kind, body: b"server_version\x0011.4\0" if body.startswith(b"server_version\0") else body
    with pytest.raises(LedgerRefused, match="11.4"):
        Ledger(Server(postgres.url_by_tcp(schema, port=between.port)))
    assert not Ledger.exists(Server(postgres.url(schema)))


def test_a_pooler_in_between_is_refused(postgres: Postgres, between: Between) -> None:
    """A pooler gives a session a number of its own; the server's is another."""
    between.to_client = lambda kind, body: bytes(3) + b"\x07" + body[4:] if kind == b"K" else body
    with pytest.raises(LedgerRefused, match="pooler") as caught:
        Ledger(Server(postgres.url_by_tcp("public", port=between.port)))
    assert "5432" in caught.value.hint


def test_a_database_with_tables_of_somebody_else_is_not_touched(postgres: Postgres) -> None:
    schema = postgres.new()
    postgres.ask("CREATE TABLE batch (theirs int)", schema)
    with pytest.raises(Corrupt, match="'batch'") as caught:
        Ledger(Server(postgres.url(schema)))
    assert "database of its own" in caught.value.hint
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()", schema) == [(1,)]


def test_a_table_that_lost_a_column_is_damage(postgres: Postgres, place: Server) -> None:
    with Ledger(place) as ledger:
        with psycopg.connect(place.url, autocommit=True) as raw:
            raw.execute("ALTER TABLE run DROP COLUMN device")
        with pytest.raises(Corrupt, match="tables are not those of a ledger"):
            ledger.check()


# ── connections that are lost ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_whose_answer_is_lost_is_there_as_a_whole_or_not_at_all(
    through: Server, between: Between, arrives: bool
) -> None:
    """The writer cannot know which; the next one sees it, and goes on in the same chain of events."""
    with Ledger(through) as ledger:
        _log(ledger, "before")
        if arrives:
            between.to_client = lambda kind, body: None if body == COMMIT else body
        else:
            between.to_server = lambda kind, body: None if body == COMMIT else body
        with pytest.raises(LedgerUnreachable) as caught, ledger.atomic():
            ledger.log("test", "unsure")
            ledger.log("test", "unsure too")
        assert caught.value.retryable
        between.to_client = between.to_server = lambda kind, body: body
        expected = ["before", *(["unsure", "unsure too"] if arrives else []), "after"]
        _log(ledger, "after")  # the connection is made again
        assert [row["ref"] for row in ledger.rows("SELECT ref FROM event ORDER BY seq")] == expected
        ledger.check()


def test_a_reader_goes_on_when_the_server_ended_its_session(postgres: Postgres, place: Server) -> None:
    with Ledger(place) as ledger:
        _log(ledger, "one")
        postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nft-pipeline'")
        with pytest.raises(LedgerUnreachable):
            ledger.event_count()
        assert ledger.event_count() == 1


def test_a_full_disk_at_the_server_keeps_what_was_acknowledged(place: Server) -> None:
    """A trigger raises what the server raises when its disk is full."""
    with Ledger(place) as ledger:
        _log(ledger, "kept")
        with psycopg.connect(place.url, autocommit=True) as raw:
            raw.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;"
                "CREATE TRIGGER full_disk BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION full_disk()"
            )
        with pytest.raises(WorkspaceUnwritable, match="No space left"):
            _log(ledger, "lost")
        assert ledger.event_count() == 1
        ledger.check()


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_one_process_holds_no_other_does_until_it_ends(place: Server) -> None:
    with Ledger(place) as one, Ledger(place) as other:
        one.hold("signing by A")
        one.hold("signing by A")
        with pytest.raises(WorkspaceLocked, match="signing by A"):
            other.hold("signing by A", at_once=True)
        other.hold("signing by B", at_once=True)
        one.check_holds()
        one.close()
        other.hold("signing by A")


def test_a_holder_whose_connection_is_lost_signs_and_sends_nothing_more(
    postgres: Postgres, place: Server, tmp_path: Path
) -> None:
    with devnet(tmp_path / "anvil") as url:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        with open_plan(place, chain, signer.address) as ledger:
            sender = Sender(ledger, chain, signer, Limits(), 1)
            sender.recover(1)
            sender.ensure_deployed(1)
            (batch, *_) = sealed_batches(ledger)
            sender.submit(batch)
            postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            with pytest.raises(LedgerUnreachable):
                while True:
                    sender.settle()
            assert len(ledger.rows("SELECT 1 FROM slot")) == 1  # the deployment
        with open_plan(place, chain, signer.address) as ledger:
            house = House(url, place, ledger, chain, signer)
            house.mint()
            house.assert_exact(transactions=4)


def test_a_limit_per_day_holds_over_all_keys_of_a_ledger(place: Server, tmp_path: Path) -> None:
    with devnet(tmp_path / "anvil") as url:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        second = open_signer(chain, environment={"PIPELINE_PRIVATE_KEY": SECOND_KEY})
        with open_plan(place, chain, signer.address, recipients=[second.address]) as ledger:
            House(url, place, ledger, chain, signer).mint()
            spent = ledger.journal.spent_or_reserved_wei(since=0)
            sender = Sender(ledger, chain, second, Limits(day_wei=spent + 1), None)
            sender.recover(1)
            with pytest.raises(LimitReached):
                sender.transfer(1, 1, signer.address)
            assert len(ledger.rows("SELECT 1 FROM slot")) == 4  # nothing was signed


# ── kills and faults, with the real sender ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("point", ["persisted_not_sent:2", "sent_not_recorded:3"])
def test_a_killed_sender_continues_to_exactly_the_planned_tokens(place: Server, tmp_path: Path, point: str) -> None:
    tests = REPOSITORY / "tests"
    with devnet(tmp_path / "anvil") as url:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        with open_plan(place, chain, signer.address) as ledger:
            environment = os.environ | {"PIPELINE_CRASH_AT": point, "PYTHONPATH": f"{REPOSITORY}:{tests}"}
            killed = subprocess.run([sys.executable, "-m", "mint.minter", text_of(place), url], env=environment)
            assert killed.returncode == -signal.SIGKILL
            house = House(url, place, ledger, chain, signer)
            house.mint()
            house.assert_exact(transactions=4)


def test_a_connection_that_is_cut_at_every_commit_in_turn_mints_each_token_once(
    postgres: Postgres, through: Server, between: Between, tmp_path: Path
) -> None:
    """Cut at the first commit, then at the second, and so on, before or after it arrived; each time the run is given again."""
    with devnet(tmp_path / "anvil") as url:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        open_plan(through, chain, signer.address, batches=1, size=2).close()
        for number in range(1, 100):
            left = [number]

            def cut(kind: bytes, body: bytes, left: list[int] = left) -> bytes | None:
                left[0] -= body == COMMIT
                return None if left[0] == 0 and body == COMMIT else body

            between.to_server, between.to_client = (cut, _as_it_is) if number % 2 else (_as_it_is, cut)
            try:
                with open_plan(through, chain, signer.address) as ledger:
                    sender = Sender(ledger, chain, signer, Limits(), 1)
                    sender.recover(1)
                    minted = list(mint(sealed_batches(ledger), sender, 1))
            except LedgerUnreachable:
                continue
            break
        between.to_server = between.to_client = _as_it_is
        assert number > 3 and minted is not None
        with open_plan(through, chain, signer.address) as ledger:
            House(url, through, ledger, chain, signer).assert_exact(transactions=2)


def _as_it_is(kind: bytes, body: bytes) -> bytes:
    return body


# ── moved ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_workspace_moves_to_a_server_and_back_and_goes_on_at_each(postgres: Postgres, tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    url, more = postgres.url(postgres.new()), ("--more", "--count", "1", "--size", "64", "--name", "Moving")
    begun = ("--count", "2", "--name", "Moving", "--size", "64", "--seed", "11", "--voice", "braid")
    assert pipeline("mint", *begun).code == 0
    with Ledger(tmp_path / "workspace" / "ledger.sqlite", readonly=True) as ledger:
        before = contents(ledger)
    there = pipeline("ledger", "copy", url, "--json")
    assert there.code == 0, there.err
    assert [(table["table"], table["sha256"]) for table in there.json["tables"]] == [
        (t.table, t.sha256) for t in before
    ]
    assert not (tmp_path / "workspace" / "ledger.sqlite").exists() and (tmp_path / there.json["retired"]).exists()
    there_too = pipeline("mint", *more[:-2], "--name", "Moving", env={"PIPELINE_LEDGER": url})
    assert there_too.code == 0, there_too.err
    verified = pipeline("verify", "--ledger", url)
    assert verified.code == 0, verified.err
    back = pipeline("ledger", "copy", "file", "--ledger", url)
    assert back.code == 0 and "equal row by row" in back.err, back.err
    assert not Ledger.exists(Server(url))
    assert pipeline("mint", *more).code == 0
    assert pipeline("verify").code == 0


def test_a_copy_never_overwrites_and_a_difference_is_found(place: Server, tmp_path: Path) -> None:
    with Ledger(tmp_path / "one.sqlite") as source, Ledger(place) as target:
        _log(source, "one", "two")
        _log(target, "mine")
        with pytest.raises(Corrupt, match="holds rows already"):
            copy_ledger(source, target)
        assert contents(source) != contents(target)
        assert target.event_count() == 1


def test_an_event_is_refused_where_another_stands(place: Server) -> None:
    with Ledger(place) as ledger:
        _log(ledger, "one")
        with pytest.raises(ConstraintBroken), ledger.atomic():
            ledger.execute("INSERT INTO event SELECT * FROM event")
