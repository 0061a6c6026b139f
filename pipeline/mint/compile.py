"""The collection contract as it ships: ABI, bytecode and sources in one file, and the compiler run that made it.

At run time only `load_artifact` and what hangs on it are used: JSON, no compiler, no web3. `compile_contracts` makes
the same artifact again from the sources in it, or from contracts/, with py-solc-x; `scripts/build-contracts --check` fails when the two differ by a byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pipeline.base.errors import Corrupt, PipelineError
from pipeline.base.files import read_regular
from pipeline.base.installation import extra
from pipeline.base.records import hex_data
from pipeline.mint.programs import find_solc

__all__ = [
    "ARTIFACT",
    "ARTIFACT_V2",
    "Artifact",
    "compile_contracts",
    "compile_v2",
    "compile_with_metadata",
    "load_artifact",
    "load_v2",
    "matches_source",
    "standard_json_input",
    "v2_to_json",
]

ARTIFACT = files("pipeline.mint") / "artifacts" / "Collection.json"

SOURCES = ("contracts/Collection.sol", "contracts/ICollection.sol")
CONTRACT = "contracts/Collection.sol", "Collection"

# The contracts of sales: one file, as the factory's code holds the codes of the other two and must be of the same compile.
ARTIFACT_V2 = files("pipeline.mint") / "artifacts" / "V2.json"
CONTRACTS_V2 = ("CollectionV2", "Drop", "Factory")
LIBRARIES = "hardhat-free-env/node_modules"
SOURCES_V2 = (
    "@openzeppelin/contracts/proxy/Clones.sol",
    "@openzeppelin/contracts/utils/Create2.sol",
    "@openzeppelin/contracts/utils/Errors.sol",
    "@openzeppelin/contracts/utils/LowLevelCall.sol",
    "@openzeppelin/contracts/utils/cryptography/Hashes.sol",
    "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol",
    "contracts/CollectionV2.sol",
    "contracts/Drop.sol",
    "contracts/Factory.sol",
    "contracts/ICollection.sol",
    "contracts/ICollectionV2.sol",
    "contracts/IDrop.sol",
    "contracts/IFactory.sol",
    "solady/src/utils/EIP712.sol",
    "solady/src/utils/SignatureCheckerLib.sol",
)

# This version and no other: a later one may order the same code differently, and the artifact is compared byte by byte.
SOLC_VERSION = "0.8.37"
SOURCE_BYTES = 1 << 20  # far above what either has

SETTINGS: dict[str, Any] = {
    "evmVersion": "shanghai",  # the newest that Ganache runs
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    # No metadata hash in the code: 53 bytes less to deploy, and comments do not move the bytecode.
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "outputSelection": {
        "*": {
            "*": [
                "abi",
                "evm.bytecode.object",
                "evm.deployedBytecode.object",
                "evm.deployedBytecode.immutableReferences",
            ]
        }
    },
}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract and everything needed to compile it again."""

    abi: list[dict[str, Any]]
    bytecode: bytes  # creation code, to be followed by the ABI-encoded constructor arguments
    deployed_bytecode: bytes  # runtime code, zero where the immutables go
    immutables: tuple[tuple[int, int], ...]  # (start, length) of each place the constructor fills in
    compiler: str  # version and commit of solc
    standard_json_input: dict[str, Any]  # sources and settings, as block explorers ask for them

    @property
    def settings(self) -> dict[str, Any]:
        """The compiler settings."""
        settings: dict[str, Any] = self.standard_json_input["settings"]
        return settings

    @property
    def source_sha256(self) -> dict[str, str]:
        """The digest of each source file, by its path."""
        sources: dict[str, dict[str, str]] = self.standard_json_input["sources"]
        return {path: hashlib.sha256(source["content"].encode()).hexdigest() for path, source in sources.items()}

    def matches_source(self, deployed_code: bytes) -> bool:
        """Tell whether code read from a chain is this contract, whatever its constructor was given."""
        return _masked(deployed_code, self.immutables) == self.deployed_bytecode

    def to_json(self) -> bytes:
        """The bytes of the artifact file: the same for the same artifact, on every machine."""
        content = {
            "contractName": CONTRACT[1],
            "sourceName": CONTRACT[0],
            "compiler": self.compiler,
            "sourceSha256": self.source_sha256,
            **self.code(),
            "standardJsonInput": self.standard_json_input,
        }
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

    def code(self) -> dict[str, Any]:
        """What the compiler made of the contract, as its file has it."""
        return {
            "abi": self.abi,
            "bytecode": hex_data(self.bytecode),
            "deployedBytecode": hex_data(self.deployed_bytecode),
            "immutableReferences": [{"start": start, "length": length} for start, length in self.immutables],
        }


@cache
def load_artifact() -> Artifact:
    """Read the artifact that ships with the package. Raises Corrupt when it is not whole."""
    return _shipped(ARTIFACT, lambda content: content)


def _shipped(path: Traversable, choose: Callable[[dict[str, Any]], dict[str, Any]]) -> Artifact:
    try:
        content = json.loads(path.read_bytes())
        artifact = _read(choose(content))
        stated = content["sourceSha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(what=path, reason=repr(error), hint=_REBUILD) from error
    if artifact.source_sha256 != stated:
        raise Corrupt(what=path, reason="its sources are not those it names", hint=_REBUILD)
    return artifact


def matches_source(deployed_code: bytes) -> bool:
    """Tell whether code read from a chain is the collection contract of this package."""
    return load_artifact().matches_source(deployed_code)


def standard_json_input() -> dict[str, Any]:
    """Sources and settings in solc's standard JSON, as Sourcify and Etherscan take them to verify a contract."""
    return load_artifact().standard_json_input


def compile_contracts(root: Path | None = None) -> Artifact:
    """Compile the sources that the artifact holds, or those under `root`.

    Raises PipelineError when there is no compiler, or it refuses them.
    """
    return compile_with_metadata(root)[0]


def compile_with_metadata(root: Path | None = None) -> tuple[Artifact, str]:
    """Compile as `compile_contracts` does; beside the artifact, solc's metadata: what Sourcify compares."""
    sources = {path: {"content": _source(root / path)} for path in SOURCES} if root else None
    compiler_input = _compiler_input(sources or standard_json_input()["sources"])
    output, version = _solc(compiler_input)
    compiled = output["contracts"][CONTRACT[0]][CONTRACT[1]]
    return _artifact(compiled, version, compiler_input), compiled["metadata"]


@cache
def load_v2(name: str) -> Artifact:
    """Read one of the contracts of sales: CollectionV2, Drop or Factory. Raises Corrupt when the file is not whole."""
    return _shipped(ARTIFACT_V2, lambda content: content | content["contracts"][name])


def compile_v2(root: Path | None = None) -> dict[str, Artifact]:
    """Compile the contracts of sales, by name, from the sources that their file holds, or from those under `root`."""
    sources = {path: {"content": _source(_place(root, path))} for path in SOURCES_V2} if root else None
    compiler_input = _compiler_input(sources or load_v2("Factory").standard_json_input["sources"])
    output, version = _solc(compiler_input)
    return {
        name: _artifact(output["contracts"][f"contracts/{name}.sol"][name], version, compiler_input)
        for name in CONTRACTS_V2
    }


def v2_to_json(artifacts: dict[str, Artifact]) -> bytes:
    """The bytes of their file: the same for the same artifacts, on every machine."""
    factory = artifacts["Factory"]
    content = {
        "compiler": factory.compiler,
        "sourceSha256": factory.source_sha256,
        "contracts": {name: artifact.code() for name, artifact in artifacts.items()},
        "standardJsonInput": factory.standard_json_input,
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _place(root: Path, path: str) -> Path:
    return root / path if path.startswith("contracts/") else root / LIBRARIES / path


def _compiler_input(sources: dict[str, Any]) -> dict[str, Any]:
    return {"language": "Solidity", "sources": sources, "settings": SETTINGS}


def _artifact(compiled: dict[str, Any], version: str, compiler_input: dict[str, Any]) -> Artifact:
    """One contract out of the compiler's output."""
    runtime = compiled["evm"]["deployedBytecode"]
    places = (place for group in runtime["immutableReferences"].values() for place in group)
    return Artifact(
        abi=compiled["abi"],
        bytecode=bytes.fromhex(compiled["evm"]["bytecode"]["object"]),
        deployed_bytecode=bytes.fromhex(runtime["object"]),
        immutables=tuple(sorted((place["start"], place["length"]) for place in places)),
        compiler=version,
        standard_json_input=compiler_input,
    )


def _read(content: dict[str, Any]) -> Artifact:
    """One contract out of a file."""
    return Artifact(
        abi=content["abi"],
        bytecode=bytes.fromhex(content["bytecode"][2:]),
        deployed_bytecode=bytes.fromhex(content["deployedBytecode"][2:]),
        immutables=tuple((place["start"], place["length"]) for place in content["immutableReferences"]),
        compiler=content["compiler"],
        standard_json_input=content["standardJsonInput"],
    )


def _source(path: Path) -> str:
    try:
        return read_regular(path, SOURCE_BYTES).decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PipelineError(
            reason=f"{path} cannot be read: {reason}", hint="check the folder of the sources"
        ) from error


def _solc(compiler_input: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The compiler's output, with the metadata that the artifact leaves out, and its version."""
    with extra("compile"):
        import solcx
        from solcx.exceptions import SolcError

    selection = [*SETTINGS["outputSelection"]["*"]["*"], "metadata"]
    asked = compiler_input | {"settings": SETTINGS | {"outputSelection": {"*": {"*": selection}}}}
    solc = find_solc(SOLC_VERSION)
    try:
        output: dict[str, Any] = solcx.compile_standard(asked, solc_binary=solc)
        return output, solcx.wrapper.get_version_str_from_solc_binary(solc)
    except (SolcError, OSError) as error:
        raise PipelineError(reason=f"the contracts do not compile: {error}") from error


_REBUILD = "restore the file, or run scripts/build-contracts"


def _masked(code: bytes, places: tuple[tuple[int, int], ...]) -> bytes:
    """`code` with zeros where the immutables are."""
    masked = bytearray(code)
    for start, length in places:
        masked[start : start + length] = bytes(len(masked[start : start + length]))
    return bytes(masked)
