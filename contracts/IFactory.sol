// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Terms} from "./ICollectionV2.sol";

/// @title  The first batch of a collection, minted as it is made; a quantity of 0: none.
struct FirstBatch {
    address to;
    uint256 quantity;
    bytes32 cidDigest;
}

/// @title  One payee of a drop, and its share in hundredths of a percent.
struct Payee {
    address account;
    uint16 share;
}

/// @title  Makes collections and drops, as minimal proxies (ERC-1167) or as whole copies of one code.
/// @notice Anybody may make any number. An address depends on who makes it, on the salt and on the terms, so nobody can
///         take the one that somebody else has planned. The factory has no owner and no rights in what it made.
interface IFactory {
    /// @notice A term is out of its range: a name or symbol of 0 or over 31 bytes, or a maximum supply above the token
    ///         ids; payees that are none, over 16, without share, or whose shares are not 10,000 together.
    error InvalidArgument();

    event CollectionMade(address indexed collection, address indexed by, bool whole);
    event DropMade(address indexed drop, address indexed collection, address indexed by, bool whole);

    /// @notice Makes a collection, and mints its first batch.
    /// @param  whole A copy of the code instead of a proxy of it: dearer to make, cheaper to use.
    function makeCollection(Terms calldata terms, bytes32 salt, bool whole, FirstBatch calldata first)
        external
        returns (address made);

    /// @notice Makes a drop that sells a lot of `collection`, whose owner then names it as the lot's seller.
    function makeDrop(address owner, address collection, Payee[] calldata payees, bytes32 salt, bool whole)
        external
        returns (address made);

    /// @notice Where `by` makes a collection with these terms.
    function collectionAddress(Terms calldata terms, address by, bytes32 salt, bool whole)
        external
        view
        returns (address);

    /// @notice Where `by` makes a drop with these terms.
    function dropAddress(
        address owner,
        address collection,
        Payee[] calldata payees,
        address by,
        bytes32 salt,
        bool whole
    ) external view returns (address);

    /// @notice The code of all collections, itself nobody's.
    function collectionCode() external view returns (address);

    /// @notice The code of all drops, itself nobody's.
    function dropCode() external view returns (address);
}
