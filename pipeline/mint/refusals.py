"""What a node's refusal means: come back later, never, not at this price, or not so much at once.

Codes differ from provider to provider and one code means several things (-32016 is "too often" at one and a failed
execution at another), so words count before codes, and no code does anything alone but cost patience. Nothing here says
whether a transaction arrived: that is looked up by its hash, whatever the node answered.
"""

from __future__ import annotations

import re

from pipeline.base.errors import RpcError

# "Too often", as HTTP has it, EIP-1474 and Infura, QuickNode, base.org, Polygon's public nodes.
_OFTEN_CODES = frozenset({429, -32005, -32007, -32016, -32090})
_OFTEN = re.compile(
    r"rate.?limit|too many req|request limit|requests? per|per second|/sec|throttl|capacity|quota|slow down"
)
# The same codes with these words are about the question, not about how often it was asked.
_ABOUT_THE_QUESTION = re.compile(
    r"batch|result|range|logs|response size|revert|execut|exception|opcode|gas|nonce|underpriced|insufficient|argument"
)

_PASSING_CODES = frozenset({-32603, -32002})  # internal error; resource unavailable
_PASSING = re.compile(
    r"internal (server )?error|header not found|unknown block|block not found|indexing is in progress|time.?out|timed out"
    r"|temporar|unavailable|not ready|syncing|overload|busy|bad gateway|upstream|no backend|try again|retry"
)
_STANDS = re.compile(
    r"revert|opcode|evm error|not.?activated|out of gas|gas required|exceeds|insufficient|argument|does not exist|not supported"
    r"|histor|pruned|archiv|trie"  # what a node has dropped does not come back
)

_NO_SUCH_METHOD = re.compile(
    r"does not exist|not (be )?(available|supported|found|implemented|allowed)|un(supported|known)|disabled"
)

_TOO_MUCH_GAS = re.compile(
    r"out.?of.?gas|always failing|(exceed|above|over|higher than).{0,40}gas|gas.{0,40}(exceed|too (high|large|much))"
)

_UNDERPRICED = re.compile(
    r"underpriced|below (the )?(configured )?minimum|(too|less|lower).{0,40}(base ?fee|minimum)|fee (cap|per gas).{0,30}(low|less)|gas price.{0,20}low|minimum needed"
)
_LEAST_TIP = re.compile(r"minimum needed[^0-9]{0,4}([0-9]{1,18})\b")
_TAKEN = re.compile(r"replac")  # "replacement transaction underpriced": the pool has another one with this nonce
_KNOWN = re.compile(
    r"already (known|imported|exists|in )|known transaction|nonce too|(isn.t|not) the correct nonce|pool.{0,10}full"
)

_NEVER = re.compile(
    r"type.{0,10}not supported|unsupported.{0,20}type|invalid (chain|sender|signature|transaction)|replay.protect|oversized"
    r"|intrinsic gas|initcode|exceeds (the )?(block gas|configured cap|maximum|transaction gas)|gas limit too high"
    r"|not (allowed|permitted|authorized|whitelisted)|unauthorized|forbidden|denied|blocked|blacklist|read.?only"
)


def asks_too_often(error: RpcError) -> bool:
    """Whether the node only says that we ask too often."""
    words = _words(error)
    if _ABOUT_THE_QUESTION.search(words) or error.fields["data"]:
        return False
    return error.fields["code"] in _OFTEN_CODES or bool(_OFTEN.search(words))


def will_pass(error: RpcError) -> bool:
    """Whether the same question may have another answer soon."""
    if asks_too_often(error):
        return True
    words = _words(error)
    if error.fields["data"] or _STANDS.search(words):
        return False
    if error.fields["method"] == "eth_getLogs":
        return "indexing is in progress" in words  # its time-outs and internal errors mean: too much at once
    return error.fields["code"] in _PASSING_CODES or bool(_PASSING.search(words))


def is_of_batches(error: RpcError) -> bool:
    """Whether the node refuses a JSON batch for its size or for being one."""
    return "batch" in _words(error) and "revert" not in _words(error) and not error.fields["data"]


def has_no_method(error: RpcError) -> bool:
    """Whether the node has not got a method at all: -32601, or -32004 of EIP-1474."""
    return error.fields["code"] in (-32601, -32004) or bool(_NO_SUCH_METHOD.search(_words(error)))


def wants_fewer_arguments(error: RpcError) -> bool:
    return error.fields["code"] == -32602 or "too many arguments" in _words(error)


def needs_too_much_gas(error: RpcError) -> bool:
    """Whether an estimate failed because the transaction does not fit into a block, or is not allowed so much."""
    return error.fields["data"] is None and not will_pass(error) and bool(_TOO_MUCH_GAS.search(_words(error)))


def is_underpriced(error: RpcError) -> bool:
    """Whether a node would take the same transaction at a higher fee."""
    return bool(_UNDERPRICED.search(_words(error))) and not says_taken(error)


def least_tip_wei(error: RpcError) -> int | None:
    """The least priority fee that the node names, where it names one."""
    named = _LEAST_TIP.search(_words(error))
    return int(named.group(1)) if named else None


def says_taken(error: RpcError) -> bool:
    """Whether the node's pool holds another transaction with this nonce."""
    return bool(_TAKEN.search(_words(error)))


def says_known(error: RpcError) -> bool:
    """Whether the node has the transaction, or its nonce behind it, or no room just now: what is looked up, not guessed."""
    return bool(_KNOWN.search(_words(error)))


def is_final(error: RpcError) -> bool:
    """Whether the node will never take these bytes, or takes none at all."""
    if will_pass(error) or is_underpriced(error) or says_taken(error) or says_known(error):
        return False
    return error.fields["code"] == -32601 or bool(_NEVER.search(_words(error)))


def _words(error: RpcError) -> str:
    return str(error.fields["message"]).lower()
