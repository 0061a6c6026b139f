"""One token for people: its name, its picture where the terminal can show one, who has it, where it is, its traits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.pictures import show_picture
from pipeline.cli.tables import WIDE, Facts, facts_lines, print_line, print_table
from pipeline.mint.fees import ether

if TYPE_CHECKING:
    from pipeline.after.token import TokenReport


def tell_token(token: TokenReport) -> None:
    """Print it."""
    import sys

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    rank = f"   rank {token.rank:,} of {token.ranked:,}" if token.rank else ""
    print_line(f"{token.name}   token {token.token_id} of {token.collection}{rank}")
    if token.file is not None:
        show_picture(Path(token.file))
    for line in facts_lines(_facts(token), width):
        print_line(line)
    if token.attributes:
        print_table(("trait", "value"), [(trait.trait_type, trait.value) for trait in token.attributes])


def _facts(token: TokenReport) -> Facts:
    chain = f"on {token.chain} ({token.chain_id})" if token.chain else f"on chain {token.chain_id}"
    drawn = (
        (f"seed {token.seed}", f"attempt {token.attempt}" if token.attempt else "") if token.seed is not None else ()
    )
    return {
        "state": (token.state,),
        "owner": (token.owner or "nobody yet",),
        "contract": (token.contract or "", chain) if token.contract else (),
        "artist": (token.artist,),
        "licence": (token.licence,),
        "metadata": (token.token_uri or "",),
        "image": (token.image or "",),
        "sha256": (token.image_sha256 or "",),
        "minted": (
            token.minted[:16].replace("T", " ") + " UTC" if token.minted else "",
            f"block {token.block_number:,}" if token.block_number else "",
        ),
        "in": (token.tx or "",),
        "paid": _paid(token),
        "explorer": (token.explorer or "",),
        "drawn": drawn,
        "kept at": (", ".join(token.pinned_at),),
        "file": (token.file or "",),
    }


def _paid(token: TokenReport) -> tuple[str, ...]:
    if token.tx_fee_wei is None or not token.tx_tokens:
        return ()
    shared = f"for {token.tx_tokens:,} tokens together" if token.tx_tokens > 1 else "for it alone"
    return (f"{ether(token.tx_fee_wei)} ETH", f"{token.tx_gas_used:,} gas", shared)
