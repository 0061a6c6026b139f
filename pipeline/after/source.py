"""From the deployed contract back to its source: compiled again, compared, and written for block explorers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.after.report import collection_named
from pipeline.base.errors import RpcUnavailable
from pipeline.base.files import write_whole
from pipeline.base.records import hex_data
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import open_chain
from pipeline.ledger import Collection, Ledger
from pipeline.mint.compile import CONTRACT, compile_with_metadata, load_artifact, matches_source, standard_json_input
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The contract compiled again, and whether that is what ships and what is deployed."""

    contract: str
    compiler: str
    evm_version: str
    optimizer_runs: int
    bytecode_bytes: int
    matches_artifact: bool
    address: str | None
    chain_id: int | None
    matches_chain: bool | None  # None: nothing is deployed, or it was not asked
    constructor_arguments: str | None
    files: tuple[Path, ...]

    @property
    def sound(self) -> bool:
        return self.matches_artifact and self.matches_chain is not False


@dataclass(frozen=True, slots=True)
class _Deployed:
    address: str
    chain_id: int
    matches_chain: bool
    constructor_arguments: str | None


def source_report(config: Settings, workspace: Workspace, name: str | None, out: Path | None) -> SourceReport:
    """Compile the contract and tell whether it is the one that ships with the package.

    With `out`, the files for Sourcify and Etherscan are written there, and the deployed code of the workspace's
    collection, if it has one, is compared as well: `matches_chain` is None where there is none.
    """
    compiled, metadata = compile_with_metadata()
    deployed = _deployed(config, workspace, name) if out else None
    files = _written(out, metadata, deployed.constructor_arguments if deployed else None) if out else []
    return SourceReport(
        contract=":".join(CONTRACT),
        compiler=f"v{compiled.compiler}",
        evm_version=compiled.settings["evmVersion"],
        optimizer_runs=compiled.settings["optimizer"]["runs"],
        bytecode_bytes=len(compiled.bytecode),
        matches_artifact=compiled.to_json() == load_artifact().to_json(),
        address=deployed.address if deployed else None,
        chain_id=deployed.chain_id if deployed else None,
        matches_chain=deployed.matches_chain if deployed else None,
        constructor_arguments=deployed.constructor_arguments if deployed else None,
        files=tuple(files),
    )


def _deployed(config: Settings, workspace: Workspace, name: str | None) -> _Deployed | None:
    """What the chain says of the workspace's collection; None when nothing is deployed yet."""
    collection = _collection(workspace, name)
    if collection is None or collection.contract is None:
        return None
    with open_chain(config, workspace, collection) as chain:
        creation = None
        if collection.tx_hash is not None:
            answer = chain.rpc.call("eth_getTransactionByHash", [hex_data(collection.tx_hash)])
            if answer is None:
                reason = "it does not know the deployment"
                raise RpcUnavailable(rpc=chain.rpc.shown, method="eth_getTransactionByHash", reason=reason)
            creation = chain.parsed_bytes("eth_getTransactionByHash", answer.get("input"))
        return _Deployed(
            collection.contract,
            collection.chain_id,
            matches_source(chain.code(collection.contract)) and _created_by_it(creation),
            _constructor_arguments(creation),
        )


def _collection(workspace: Workspace, name: str | None) -> Collection | None:
    """The named collection, or the last; None in a workspace without any."""
    if name is None:
        if not Ledger.exists(workspace.ledger):
            return None
        with Ledger(workspace.ledger, readonly=True) as ledger:
            if not ledger.collections.all():
                return None
    return collection_named(workspace, name)


def _created_by_it(creation: bytes | None) -> bool:
    return creation is None or creation.startswith(load_artifact().bytecode)


def _constructor_arguments(creation: bytes | None) -> str | None:
    """What follows the code in the deployment, in hex as Etherscan asks for it; None when it is not known."""
    if creation is None or not _created_by_it(creation):
        return None
    return creation[len(load_artifact().bytecode) :].hex()


def _written(out: Path, metadata: str, constructor_arguments: str | None) -> list[Path]:
    contents = {"standard-input.json": json.dumps(standard_json_input(), indent=1), "metadata.json": metadata}
    if constructor_arguments is not None:
        contents["constructor-arguments.txt"] = constructor_arguments + "\n"
    for file, content in contents.items():
        write_whole(out / file, content.encode())
    return [out / file for file in contents]
