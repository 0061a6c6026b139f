"""Verbs that make tokens: `mint`, what it would cost, and `abandon`, which makes no more of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pipeline.base.limits import MAX_COUNT, MAX_TOKEN_ID
from pipeline.base.records import hex_data
from pipeline.cli.art import tell_sheets
from pipeline.cli.call import Call, Takes, Verb, chosen_name, number, say
from pipeline.cli.tables import print_json, print_table
from pipeline.mint.fees import ether, gwei
from pipeline.mint.networks import network_of
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.flow.abandon import Abandoned

LONG_TABLE = 100  # rows after which nobody reads on

EVERYTHING: Takes = tuple(scope for scope in Scope if scope is not Scope.WORKSPACE)  # that has a flag everywhere


def _mint(call: Call) -> int:
    from pipeline.after.report import run_report
    from pipeline.cli.minted import tell_minted
    from pipeline.cli.terminal import person_here, progress_on_stderr
    from pipeline.flow.more import idle
    from pipeline.flow.run import mint_run
    from pipeline.ledger import Ledger

    count = None if call.arguments.count is None else number("--count", call.arguments.count, 1, MAX_COUNT)
    total = None if call.arguments.total is None else number("--total", call.arguments.total, 1, MAX_TOKEN_ID)
    if call.arguments.dry_run:
        return _tell_bill(call, count, total)
    with progress_on_stderr() as observer:
        outcome = mint_run(
            call.config,
            count,
            call.workspace,
            observer,
            more=call.arguments.more,
            new=call.arguments.new,
            total=total,
            stop_after_generate=call.arguments.stop_after == "generate",
            person=person_here(call.arguments.confirm_name),
        )
    if outcome.waits:
        tell_sheets(call, outcome.run, outcome.sheets)
        return 0
    with Ledger(call.workspace.ledger) as ledger:
        report = run_report(ledger, outcome)
        if call.as_json:
            print_json(report)
        else:
            tell_minted(report, rows=call.arguments.list)
        sys.stdout.flush()
        outcome.mark_reported(ledger)
    if not outcome.fresh:
        if unused := idle(call.config, outcome.run):
            say(f"warning: a run that is complete has no use for {', '.join(unused)}.")
        say(
            f"this run was complete before: nothing was sent. `--more` adds tokens to {outcome.collection.name!r}, "
            "`--new` (or a new `--name`) starts another collection."
        )
    call.next("proves every token from the chain back to its pixels", "verify")
    call.next("one of them: traits, CIDs, owner, transaction", "show", outcome.run.start)
    return 0


def _tell_bill(call: Call, count: int | None, total: int | None) -> int:
    from pipeline.cli.terminal import progress_on_stderr
    from pipeline.flow.bill import dry_run
    from pipeline.flow.consent import ONLY_HERE

    words = call.arguments
    with progress_on_stderr() as observer:
        bill = dry_run(call.config, count, call.workspace, observer, more=words.more, new=words.new, total=total)
    if call.as_json:
        print_json(bill)
        return 0
    shown = bill.lines[:LONG_TABLE]
    rows = [(line.what, f"{line.gas:,}", ether(line.wei)) for line in shown]
    if len(shown) < len(bill.lines):
        rows.append((f"… {len(bill.lines) - len(shown):,} more", "", ""))
    rows.append((f"all {bill.tokens:,} tokens", f"{bill.gas:,}", ether(bill.wei)))
    rows.append(("each token", "", ether(bill.wei_per_token)))
    print_table(("transaction", "gas", "ETH"), rows)
    if bill.alternatives:
        others = [(o.name, f"{o.gas:,}", ether(o.wei), f"{o.times}×") for o in bill.alternatives]
        print_table(("the same with", "gas", "ETH", "of the above"), others)
    base, tip = gwei(bill.base_fee_wei), gwei(bill.priority_fee_wei)
    say(f"at a base fee of {base} gwei and {tip} gwei for the block's maker, on chain {bill.chain_id} now.")
    if bill.node_estimates_deploy:
        say(f"the node's own estimate of the deployment: {bill.node_estimates_deploy:,} gas.")
    if bill.balance_wei is not None:
        enough = "" if bill.balance_wei >= bill.wei else ": not enough"
        say(f"{bill.payer} has {ether(bill.balance_wei)} ETH{enough}.")
    if bill.only_here:
        say(ONLY_HERE)
    network = network_of(bill.chain_id)
    if network is None or network.is_rollup:
        say("a rollup's fee for its data on Ethereum comes on top.")
    say("Nothing was planned, signed or sent.")
    return 0


def _abandon(call: Call) -> int:
    from pipeline.cli.terminal import person_here, progress_on_stderr
    from pipeline.flow.abandon import abandon

    with progress_on_stderr() as observer:
        found = abandon(
            call.workspace,
            call.config,
            chosen_name(call),
            observer,
            person_here(call.arguments.confirm_name),
            chain_is_gone=call.arguments.chain_gone,
        )
    if call.as_json:
        print_json(_abandoned(found) if found else None)
    elif found is None:
        say("nothing is unfinished here: there is nothing to let go of.")
    else:
        _tell_abandoned(call, found)
    if found is not None and found.contract is not None:
        call.next(f"adds tokens to {found.collection!r}", "mint", "--count", 10, "--more")
    return 0


def _abandoned(found: Abandoned) -> dict[str, Any]:
    return {
        "collection": found.collection,
        "contract": found.contract,
        "kept": list(found.kept),
        "let_go": list(found.gone),
        "withdrawn": [
            {"what": one.what, "nonce": one.nonce, "tx": hex_data(one.tx_hash), "paid_wei": one.paid_wei}
            for one in found.withdrawn
        ],
        "held_elsewhere": [{"root": str(root), "place": place} for root, place in found.held_elsewhere],
    }


def _tell_abandoned(call: Call, found: Abandoned) -> None:
    print(f"{_tokens(found.gone)} of {found.collection!r} are let go of: nothing mints them any more.")
    for one in found.withdrawn:
        paid = f"an empty transaction took its nonce {one.nonce}, for {ether(one.paid_wei)} ETH"
        print(f"{one.what}: {paid} (0x{one.tx_hash.hex()})")
    if found.kept:
        print(f"{_tokens(found.kept)} stay: they are on the chain, at {found.contract}.")
    elif found.contract is not None:
        print(f"the contract at {found.contract} stays: it is on the chain, and has no token of this run.")
    else:
        print("nothing of it is on the chain: the collection is gone too.")
    for root, place in found.held_elsewhere:
        print(call.told(f"{place} still has {root}: `pipeline unpin --pin {place}` lets go of it there."))


def _tokens(ids: range) -> str:
    if not ids:
        return "no tokens"
    return f"token {ids[0]}" if len(ids) == 1 else f"tokens {ids[0]} to {ids[-1]}"


VERBS = (
    Verb(
        "mint",
        _mint,
        "draw, pin and mint tokens; given again, continue",
        (
            "mint --count 50",
            "mint --count 10 --more",
            "mint --total 100",
            "mint --count 500 --new --name 'Night Linos' --size 1024 --to 0x…",
            "mint --to recipients.csv",
            "mint --count 50 --stop-after generate",
            "mint --images my-art --name 'My Art'",
            "mint --layers my-layers --count 1000",
            "mint --count 500 --dry-run --rpc-url https://…",
            "mint --count 50 --pin embedded,kubo --rpc-url http://127.0.0.1:8545",
            "mint --count 50 --rpc-url https://… --network sepolia --keystore key.json",
            "mint --count 50 --rpc-url https://… --signer-url http://127.0.0.1:9000 --signer-address 0x…",
        ),
        EVERYTHING,
        (
            ("--count", {"metavar": "N", "help": f"number of tokens, 1 to {MAX_COUNT:,}; a --to FILE says it itself"}),
            (
                "--total",
                {
                    "metavar": "N",
                    "help": "as many tokens as the collection shall have in all: given twice, nothing is added",
                },
            ),
            ("--more", {"action": "store_true", "help": "add tokens to the last (or --name'd) collection"}),
            ("--new", {"action": "store_true", "help": "start another collection in this workspace"}),
            (
                "--stop-after",
                {
                    "metavar": "STAGE",
                    "choices": ("generate",),
                    "help": "generate: draw, write a contact sheet, and wait; nothing is pinned or sent",
                },
            ),
            ("--list", {"action": "store_true", "help": "a row for each token before the summary"}),
            ("--dry-run", {"action": "store_true", "help": "tell what it would cost; plan, sign and send nothing"}),
            (
                "--confirm-name",
                {"metavar": "TEXT", "help": "the collection's name, where real money is spent by a script"},
            ),
        ),
    ),
    Verb(
        "abandon",
        _abandon,
        "let go of what is not minted of an unfinished run; what is on the chain stays",
        (
            "abandon",
            "abandon --name 'Night Linos'",
            "abandon --rpc-url https://… --network sepolia --keystore key.json",
            "abandon --rpc-url http://127.0.0.1:8545 --chain-gone",
        ),
        (Scope.NAME, Scope.NODE, Scope.KEY, "confirmations", Scope.LIMIT),
        (
            (
                "--chain-gone",
                {
                    "action": "store_true",
                    "help": "the run's chain, a development node's, began anew and will never come back",
                },
            ),
            (
                "--confirm-name",
                {"metavar": "TEXT", "help": "the collection's name, where withdrawing costs real money"},
            ),
        ),
    ),
)
