// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";

/// @title  The part of forge's cheatcodes that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function prank(address sender) external;
    function deal(address account, uint256 balance) external;
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 privateKey) external pure returns (address);
    function expectRevert(bytes calldata reason) external;
    function expectRevert() external;
    function expectEmit(address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function assume(bool condition) external pure;
    function envOr(string calldata name, string calldata fallbackValue) external view returns (string memory);
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function getCode(string calldata artifact) external view returns (bytes memory);
    function toString(uint256 value) external pure returns (string memory);
    function etch(address target, bytes calldata code) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function store(address target, bytes32 slot, bytes32 value) external;
    function assertEq(uint256 left, uint256 right, string calldata what) external pure;
    function assertEq(address left, address right, string calldata what) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata what) external pure;
    function assertEq(string calldata left, string calldata right, string calldata what) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata what) external pure;
    function assertEq(bool left, bool right, string calldata what) external pure;
    function assertLe(uint256 left, uint256 right, string calldata what) external pure;
    function assertTrue(bool condition, string calldata what) external pure;
}

/// @title  What all tests share: cheatcodes, actors, and the collection as it ships.
abstract contract Test {
    /// @dev Tells forge that this contract holds tests.
    bool public constant IS_TEST = true;

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant OWNER = address(0x0A11CE);
    address internal constant MINTER = address(0x0B0B);
    address internal constant ALICE = address(0xA11CE5);
    address internal constant BOB = address(0xB0B5);
    address internal constant STRANGER = address(0x57A46E);
    address internal constant ROYALTY_RECEIVER = address(0x40A17);
    bytes32 internal constant DIGEST = keccak256("a metadata directory");

    uint256 internal constant UNLIMITED = 0;
    uint256 internal constant MAX_TOKEN_IDS = type(uint48).max;

    /// @dev Read once, as reading takes longer than most tests.
    bytes private _creationCode = creationCode();

    /// @dev The creation code: of the artifact, or, for coverage, of the contract that forge compiled itself.
    function creationCode() private view returns (bytes memory) {
        if (same(vm.envOr("COLLECTION", "artifact"), "source")) return vm.getCode("Collection.sol:Collection");
        return vm.parseJsonBytes(vm.readFile("../../pipeline/mint/artifacts/Collection.json"), ".bytecode");
    }

    function deploy(uint256 maxSupply) internal returns (ICollection) {
        return deployWith(abi.encode("Some art", "ART", OWNER, MINTER, ROYALTY_RECEIVER, 500, maxSupply, DIGEST));
    }

    /// @dev Reverts with the constructor's own reason. V2.sol has the other one.
    function deployWith(bytes memory arguments) internal virtual returns (ICollection collection) {
        bytes memory code = bytes.concat(_creationCode, arguments);
        assembly {
            collection := create(0, add(code, 32), mload(code))
            if iszero(collection) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function same(string memory left, string memory right) internal pure returns (bool) {
        return keccak256(bytes(left)) == keccak256(bytes(right));
    }

    /// @dev A number from `low` to `high`, both included.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }

    function nonZero(address account) internal pure returns (address) {
        return account == address(0) ? address(1) : account;
    }

    function mint(ICollection collection, address to, uint256 quantity) internal returns (uint256 start) {
        start = collection.nextTokenId();
        vm.prank(OWNER);
        collection.mintBatch(start, to, quantity, keccak256(abi.encode(start)));
    }

    function drop(ICollection collection, address[] memory to) internal returns (uint256 start) {
        start = collection.nextTokenId();
        vm.prank(OWNER);
        collection.airdrop(start, to, keccak256(abi.encode(start)));
    }

    function addresses(address a, address b, address c) internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
