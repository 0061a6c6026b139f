// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {CollectionV2} from "./CollectionV2.sol";
import {Drop} from "./Drop.sol";
import {ICollection} from "./ICollection.sol";
import {ICollectionV2, Terms} from "./ICollectionV2.sol";
import {IDrop} from "./IDrop.sol";
import {FirstBatch, IFactory, Payee} from "./IFactory.sol";

/// @title  Makes collections and drops.
/// @notice Signatures, events, errors and their meaning are those of IFactory.
contract Factory is IFactory {
    uint256 private constant BASIS_POINTS = 10_000;

    /// @inheritdoc IFactory
    address public immutable collectionCode = address(new CollectionV2());
    /// @inheritdoc IFactory
    address public immutable dropCode = address(new Drop());

    /// @inheritdoc IFactory
    function makeCollection(Terms calldata terms, bytes32 salt, bool whole, FirstBatch calldata first)
        external
        returns (address made)
    {
        made = _make(collectionCode, _collectionArguments(terms), salt, whole);
        emit CollectionMade(made, msg.sender, whole);
        ICollectionV2(made).initialize(
            terms.owner, terms.transferValidator, first.to, first.quantity, first.cidDigest
        );
    }

    /// @inheritdoc IFactory
    function makeDrop(address owner, address collection, Payee[] calldata payees, bytes32 salt, bool whole)
        external
        returns (address made)
    {
        made = _make(dropCode, _dropArguments(owner, collection, payees), salt, whole);
        emit DropMade(made, collection, msg.sender, whole);
        IDrop(made).initialize(owner);
    }

    /// @inheritdoc IFactory
    function collectionAddress(Terms calldata terms, address by, bytes32 salt, bool whole)
        external
        view
        returns (address)
    {
        return _predicted(collectionCode, _collectionArguments(terms), _salted(by, salt), whole);
    }

    /// @inheritdoc IFactory
    function dropAddress(
        address owner,
        address collection,
        Payee[] calldata payees,
        address by,
        bytes32 salt,
        bool whole
    ) external view returns (address) {
        return _predicted(dropCode, _dropArguments(owner, collection, payees), _salted(by, salt), whole);
    }

    // ───────────────────────────── Internal ────────────────────────────────────

    function _make(address code, bytes memory arguments, bytes32 salt, bool whole) private returns (address) {
        salt = _salted(msg.sender, salt);
        if (whole) return Create2.deploy(0, salt, _copying(code, arguments));
        return Clones.cloneDeterministicWithImmutableArgs(code, arguments, salt);
    }

    function _predicted(address code, bytes memory arguments, bytes32 salt, bool whole) private view returns (address) {
        if (whole) return Create2.computeAddress(salt, keccak256(_copying(code, arguments)));
        return Clones.predictDeterministicAddressWithImmutableArgs(code, arguments, salt);
    }

    function _salted(address by, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(by, salt));
    }

    /// @dev Creation code that returns what follows it: PUSH4 length, DUP1, PUSH1 14, PUSH1 0, CODECOPY, PUSH1 0, RETURN.
    function _copying(address code, bytes memory arguments) private view returns (bytes memory) {
        uint32 length = uint32(code.code.length + arguments.length);
        return bytes.concat(hex"63", bytes4(length), hex"80600e6000396000f3", code.code, arguments);
    }

    /// @dev Read by CollectionV2._argument.
    function _collectionArguments(Terms calldata terms) private pure returns (bytes memory) {
        (uint256 name, uint256 symbol) = (bytes(terms.name).length, bytes(terms.symbol).length);
        require(name != 0 && name < 32 && symbol != 0 && symbol < 32, InvalidArgument());
        require(terms.owner != address(0), ICollection.OwnableInvalidOwner(terms.owner));
        require(terms.maxSupply <= type(uint48).max, InvalidArgument());
        require(
            terms.royaltyBps <= BASIS_POINTS && (terms.royaltyBps == 0 || terms.royaltyReceiver != address(0)),
            ICollection.ERC2981InvalidRoyalty(terms.royaltyReceiver, terms.royaltyBps)
        );
        require(terms.validated || terms.transferValidator == address(0), ICollectionV2.NotValidated());
        uint256 numbers = uint256(uint160(terms.royaltyReceiver)) << 96 | uint256(terms.royaltyBps) << 80
            | terms.maxSupply << 32 | uint256(terms.licence) << 24 | name << 8 | symbol;
        if (terms.validated) numbers |= 1 << 16;
        bytes memory texts = bytes.concat(bytes(terms.name), bytes(terms.symbol));
        return bytes.concat(texts, bytes20(terms.minter), bytes32(numbers), terms.contractCidDigest);
    }

    /// @dev Read by Drop._argument.
    function _dropArguments(address owner, address collection, Payee[] calldata payees)
        private
        pure
        returns (bytes memory arguments)
    {
        require(owner != address(0), ICollection.OwnableInvalidOwner(owner));
        require(payees.length != 0 && payees.length <= 16, InvalidArgument());
        uint256 sum = 0;
        for (uint256 i = 0; i < payees.length; ++i) {
            require(payees[i].account != address(0) && payees[i].share != 0, InvalidArgument());
            sum += payees[i].share;
            arguments = bytes.concat(arguments, bytes20(payees[i].account), bytes2(payees[i].share));
        }
        require(sum == BASIS_POINTS, InvalidArgument());
        return bytes.concat(arguments, bytes20(collection), bytes1(uint8(payees.length)));
    }
}
