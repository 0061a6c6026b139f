"""From the deployed contract back to its source: compiled again, compared, and written for block explorers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.after.report import reading
from pipeline.base.errors import RpcUnavailable
from pipeline.base.files import write_whole
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger
from pipeline.settings import Settings


def source_report(config: Settings, workspace: Workspace, name: str | None, out: Path | None) -> dict[str, Any]:
    """Compile the contract and tell whether it is the one that ships with the package.

    With `out`, the files for Sourcify and Etherscan are written there, and the deployed code of the workspace's
    collection, if it has one, is compared as well: `matches_chain` is None where there is none.
    """
    from pipeline.mint.compile import CONTRACT, compile_with_metadata, load_artifact

    compiled, metadata = compile_with_metadata()
    deployed = _deployed(config, workspace, name) if out else None
    files = _written(out, metadata, deployed["constructor_arguments"] if deployed else None) if out else []
    return {
        "contract": ":".join(CONTRACT),
        "compiler": f"v{compiled.compiler}",
        "evm_version": compiled.settings["evmVersion"],
        "optimizer_runs": compiled.settings["optimizer"]["runs"],
        "bytecode_bytes": len(compiled.bytecode),
        "matches_artifact": compiled.to_json() == load_artifact().to_json(),
        **(deployed or {"address": None, "chain_id": None, "matches_chain": None, "constructor_arguments": None}),
        "files": [str(path) for path in files],
    }


def _deployed(config: Settings, workspace: Workspace, name: str | None) -> dict[str, Any] | None:
    """What the chain says of the workspace's collection; None when nothing is deployed yet."""
    from pipeline.flow.connection import open_chain
    from pipeline.mint.compile import matches_source

    collection = _collection(workspace, name)
    if collection is None or collection.contract is None:
        return None
    with open_chain(config, workspace, collection) as chain:
        creation = None
        if collection.tx_hash is not None:
            answer = chain.rpc.call("eth_getTransactionByHash", ["0x" + collection.tx_hash.hex()])
            if answer is None:
                reason = "it does not know the deployment"
                raise RpcUnavailable(rpc=chain.rpc.shown, method="eth_getTransactionByHash", reason=reason)
            creation = chain.parsed_bytes("eth_getTransactionByHash", answer.get("input"))
        return {
            "address": collection.contract,
            "chain_id": collection.chain_id,
            "matches_chain": matches_source(chain.code(collection.contract)) and _created_by_it(creation),
            "constructor_arguments": _constructor_arguments(creation),
        }


def _collection(workspace: Workspace, name: str | None) -> Collection | None:
    """The named collection, or the last; None in a workspace without any."""
    if name is None:
        if not workspace.ledger.exists():
            return None
        with Ledger(workspace.ledger, readonly=True) as ledger:
            if not ledger.collections.all():
                return None
    with reading(workspace, name) as (_, collection):
        return collection


def _created_by_it(creation: bytes | None) -> bool:
    from pipeline.mint.compile import load_artifact

    return creation is None or creation.startswith(load_artifact().bytecode)


def _constructor_arguments(creation: bytes | None) -> str | None:
    """What follows the code in the deployment, in hex as Etherscan asks for it; None when it is not known."""
    from pipeline.mint.compile import load_artifact

    if creation is None or not _created_by_it(creation):
        return None
    return creation[len(load_artifact().bytecode) :].hex()


def _written(out: Path, metadata: str, constructor_arguments: str | None) -> list[Path]:
    from pipeline.mint.compile import standard_json_input

    contents = {"standard-input.json": json.dumps(standard_json_input(), indent=1), "metadata.json": metadata}
    if constructor_arguments is not None:
        contents["constructor-arguments.txt"] = constructor_arguments + "\n"
    for file, content in contents.items():
        write_whole(out / file, content.encode())
    return [out / file for file in contents]
