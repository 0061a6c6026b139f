"""The result of `mint`: a block for people, one line a token for a pipe.

What all tokens share stands once; what differs from batch to batch, or from recipient to recipient, stands with its
range. CIDs, addresses and hashes are whole and never broken, so that a double click takes all of one; a terminal too
narrow for one wraps it by itself.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.base.untrusted import printable
from pipeline.cli.call import say
from pipeline.cli.pictures import show_picture
from pipeline.cli.tables import Facts, facts_lines, print_table, ranges, short, short_uri
from pipeline.mint.fees import ether

if TYPE_CHECKING:
    from pipeline.after.report import Minted, MintedToken

MAX_RANGES = 20  # told apart in the block; `--list` and a pipe have every token


@dataclass(frozen=True, slots=True)
class _Range:
    """Tokens in a row that share recipient, roots and transaction."""

    first: int
    last: int
    facts: Facts

    @property
    def text(self) -> str:
        return ranges(range(self.first, self.last + 1))


def tell_minted(report: Minted, *, rows: bool) -> None:
    """Print the result: on a terminal the block, before it a row for each token where `rows` are asked for; elsewhere
    each token's id, owner, token URI, image and transaction, separated by tabs, and the block on stderr."""
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty():
        for token in report.tokens:
            values = (token.token_id, token.owner, token.token_uri, token.image, token.tx)
            print(*("" if value is None else printable(value) for value in values), sep="\t")
        sys.stdout.flush()
        say("\n".join(block(report, width)))
        return
    if rows:
        print_table(
            ("token id", "owner", "token URI", "transaction"),
            [(t.token_id, short(t.owner), short_uri(t.token_uri), short(t.tx)) for t in report.tokens],
        )
    for line in block(report, width):
        print(printable(line))
    if report.sheets:
        show_picture(report.sheets[0])


def block(report: Minted, width: int) -> list[str]:
    """The lines of the block, for a terminal of so many columns."""
    found = _ranges(report)
    count = len(report.tokens)
    lines = [f"{report.name}   {count:,} token{'s' if count != 1 else ''}   {_span(found)}"]
    lines += facts_lines({"contract": (report.contract or "", f"on {_chain(report)}")}, width)
    shared = {label: words for label, words in found[0].facts.items() if all(r.facts[label] == words for r in found)}
    lines += facts_lines(shared, width)
    if len(found) > 1:
        for one in found[:MAX_RANGES]:
            lines.append(f"  {one.text}")
            lines += facts_lines({label: words for label, words in one.facts.items() if label not in shared}, width, 2)
    if len(found) > MAX_RANGES:
        lines.append(f"  … {len(found) - MAX_RANGES:,} more ranges: `--list` has every token")
    last: Facts = {"paid": _paid(report)}
    if report.explorer:
        last["explorer"] = (report.explorer,)
    if report.sheets:
        last["look"] = tuple(map(str, report.sheets))
    if report.seconds:
        last["took"] = (", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()),)
    return lines + facts_lines(last, width)


def _ranges(report: Minted) -> list[_Range]:
    blocks = {fee.tx: fee.block_number for fee in report.fees}

    def facts(token: MintedToken) -> Facts:
        mined = (f"block {blocks[token.tx]:,}",) if token.tx in blocks else ()
        return {
            "to": (token.owner,),
            "metadata": (_root(token.token_uri),),
            "images": (_root(token.image),),
            "mined in": (token.tx or "", *mined),
        }

    found = []
    for known, tokens in groupby(report.tokens, facts):
        ids = [token.token_id for token in tokens]
        found.append(_Range(ids[0], ids[-1], known))
    return found


def _root(uri: str | None) -> str:
    """`ipfs://CID` of `ipfs://CID/7.json`."""
    return (uri or "").rpartition("/")[0]


def _span(found: Sequence[_Range]) -> str:
    return ranges(range(found[0].first, found[-1].last + 1))


def _chain(report: Minted) -> str:
    return f"{report.chain} ({report.chain_id})" if report.chain else f"chain {report.chain_id}"


def _paid(report: Minted) -> tuple[str, ...]:
    """`0.001483000 ETH: deploy …, mint …`; nothing for tokens that somebody else's transaction minted."""
    parts = [
        f"{purpose} {ether(sum(fee.fee_wei for fee in report.fees if fee.purpose == purpose))}"
        for purpose in dict.fromkeys(fee.purpose for fee in report.fees)
    ]
    return (f"{ether(report.fee_wei)} ETH" + (f": {', '.join(parts)}" if parts else ""),)
