"""Verbs that ask about a collection, hand a token on, or take files out: `status`, `show`, `owners`, `transfer`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.installation import extra
from pipeline.base.limits import MAX_TOKEN_ID
from pipeline.cli.call import CONTENT, Call, Verb, chosen_name, number, say
from pipeline.cli.shown import tell_token
from pipeline.cli.tables import fields_of, print_json, print_table, ranges, short
from pipeline.mint.fees import ether
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.after.report import Status

MAX_BLOCK = 2**53  # a chain with a block each millisecond gets there in 285,000 years


def _status(call: Call) -> int:
    from pipeline.after.report import status_report

    report = status_report(call.workspace, call.config)
    if call.as_json:
        print_json(report)
        return 0
    if not report.collections:
        say(f"{call.workspace.folder} holds no collection yet.")
        call.next("makes one", "mint", "--count", 50)
        return 0
    print_table(
        ("collection", "state", "contract", "chain", "drawn", "pinned", "minted", "final", "paid ETH"),
        [
            (
                c.name,
                c.state,
                short(c.contract),
                c.chain_id or "",
                c.drawn,
                c.pinned,
                c.minted,
                c.final,
                ether(c.fee_wei) if c.fee_wei else "",
            )
            for c in report.collections
        ],
    )
    _tell_what_to_do(call, report)
    return 0


def _tell_what_to_do(call: Call, report: Status) -> None:
    from pipeline.flow.plan import lacks_address, words_of

    standing = call.standing()
    if standing.is_busy:
        say("a run is under way: it goes on by itself.")
    elif standing.unfinished is not None and lacks_address(standing.unfinished, call.config):
        say("an unfinished run waits: the command that began it goes on with it, with the --rpc-url of its chain.")
    elif standing.unfinished is not None:
        call.next(
            "finishes the run that was interrupted; the verb abandon lets go of it instead",
            *words_of(standing.unfinished, call.config),
        )
    elif report.collections[-1].drawn:
        call.next("shows a token", "show", 1)


def _show(call: Call) -> int:
    from pipeline.after.token import token_report

    report = token_report(
        call.workspace, chosen_name(call), number("token id", call.arguments.token_id, 1, MAX_TOKEN_ID)
    )
    if call.as_json:
        print_json(report)
        return 0
    tell_token(report)
    return 0


def _owners(call: Call) -> int:
    from pipeline.after.report import owners_report

    at = call.arguments.at
    report = owners_report(
        call.workspace, call.config, chosen_name(call), None if at is None else number("--at", at, 0, MAX_BLOCK)
    )
    if call.as_json:
        print_json(report)
        return 0
    print_table(
        ("owner", "tokens", "token ids"),
        [(o.owner, len(o.token_ids), ranges(o.token_ids)) for o in report.owners],
    )
    say(f"{report.collection!r} as of block {report.block_number:,}")
    return 0


def _transfer(call: Call) -> int:
    from pipeline.after.transfer import transfer
    from pipeline.cli.terminal import person_here, progress_on_stderr

    token_id = number("token id", call.arguments.token_id, 1, MAX_TOKEN_ID)
    with progress_on_stderr() as observer:
        report = transfer(
            call.workspace,
            call.config,
            chosen_name(call),
            token_id,
            call.arguments.recipient,
            observer,
            person_here(call.arguments.confirm_name),
        )
    if call.as_json:
        print_json(report)
    else:
        print_table(("", ""), fields_of(report), wrap=True)
    if not report.sent:
        say(f"{report.owner} had token {token_id} before this call: nothing was sent.")
    call.next("who owns what now", "owners")
    return 0


def _export(call: Call) -> int:
    from pipeline.after.export import FORMATS, export

    words = call.arguments
    if words.site:
        return _export_site(call)
    alone = [flag for flag in ("--url", "--gateway-url", "--title", "--pin") if call.gives(flag)]
    if alone:
        raise BadArgument(name=alone[0], value="", expected="--site DIR beside it: it is about the show as a folder")
    formats = tuple((words.format or ",".join(FORMATS)).split(","))
    paths = export(call.workspace, chosen_name(call), formats, call.arguments.out and Path(call.arguments.out))
    if call.as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    return 0


def _export_site(call: Call) -> int:
    with extra("serve"):
        from pipeline.serve.site import pin_site, write_site
    from pipeline.cli.terminal import progress_on_stderr

    words, show, wants_pin = call.arguments, call.config.show, call.gives("--pin")
    for flag, value in (("--format", words.format), ("--out", words.out)):
        if value:
            raise BadArgument(
                name=flag, value=value, expected="not to be there beside --site, which is a folder of its own"
            )
    folder, gateway = Path(words.site), show.gateway_url.rstrip("/").removesuffix("/ipfs")
    with progress_on_stderr() as observer:
        site = write_site(
            call.workspace,
            call.config,
            folder,
            observer,
            only=chosen_name(call),
            url=show.url,
            gateway=f"{gateway}/ipfs/" if gateway else "",
            title=show.title,
        )
        pinned = pin_site(call.workspace, call.config, folder, show.title or "show") if wants_pin else None
    if call.as_json:
        print_json({"site": site} | ({"pinned": pinned} if pinned else {}))
    else:
        print(site.folder)
        if pinned:
            print(f"ipfs://{pinned.cid}/")
    say(
        f"{site.pages:,} pages in {site.files:,} files, {site.bytes / 1e6:,.1f} MB; any host or IPFS gateway serves them."
    )
    if not show.url:
        say("Links to it will show no picture in chats: --url says where it will be found, and they then do.")
    if not gateway:
        say("No link leads to the content by its CID: --gateway-url names a gateway that has it.")
    if pinned:
        call.next(f"serves it at http://localhost:8088/ipfs/{pinned.cid}/", "gateway")
    return 0


VERBS = (
    Verb("status", _status, "how far everything is", ("status", "status --json"), ("rpc_url",)),
    Verb(
        "show",
        _show,
        "one token: picture, rank, traits, CIDs, owner, what was paid",
        ("show 7", "show 7 --name 'Night Linos' --json"),
        (Scope.NAME,),
        (("token_id", {"metavar": "TOKEN_ID", "help": "id of the token"}),),
    ),
    Verb(
        "owners",
        _owners,
        "who owns what, read from the chain",
        ("owners", "owners --json", "owners --at 21000000"),
        (Scope.NAME, "rpc_url"),
        (("--at", {"metavar": "BLOCK", "help": "number of the block after which to look (the newest)"}),),
    ),
    Verb(
        "transfer",
        _transfer,
        "give a token to somebody else, exactly once",
        ("transfer 7 --to 0x…", "transfer 7 --to 0x… --name 'Night Linos' --json"),
        (Scope.NAME, Scope.NODE, Scope.KEY, "confirmations", Scope.LIMIT),
        (
            ("token_id", {"metavar": "TOKEN_ID", "help": "id of the token"}),
            ("--to", {"metavar": "ADDRESS", "required": True, "dest": "recipient", "help": "its new owner"}),
            (
                "--confirm-name",
                {"metavar": "TEXT", "help": "the collection's name, where real money is spent by a script"},
            ),
        ),
    ),
    Verb(
        "export",
        _export,
        "write the collection as CARs, CSV and JSON, or the whole show as a folder that any host serves",
        (
            "export",
            "export --format csv --out /tmp/drop",
            "export --format hashlips,sugar",
            "export --site show --url https://art.example.org",
            "export --site show --pin embedded",
        ),
        (Scope.NAME, *CONTENT, Scope.SHOW),
        (
            (
                "--format",
                {
                    "metavar": "NAME,…",
                    "default": "",
                    "help": "car, csv, json, transparency (all of these); hashlips, sugar",
                },
            ),
            ("--out", {"metavar": "DIR", "help": "folder to write to (export/ in the workspace)"}),
            (
                "--site",
                {
                    "metavar": "DIR",
                    "help": "the public show as a folder instead: of all collections, or the one that is named; --pin pins it",
                },
            ),
        ),
    ),
)
