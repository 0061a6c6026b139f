// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {ICollectionV2, Licence, Terms} from "contracts/ICollectionV2.sol";
import {IDrop} from "contracts/IDrop.sol";
import {FirstBatch, IFactory, Payee} from "contracts/IFactory.sol";
import {Test} from "./Test.sol";

/// @title  Makes collections by the factory as it ships, as minimal proxies.
abstract contract OnV2 is Test {
    IFactory internal factory = makeFactory();
    uint256 private _made;

    function makeFactory() private returns (IFactory made) {
        bytes memory code = same(vm.envOr("COLLECTION", "artifact"), "source")
            ? vm.getCode("Factory.sol:Factory")
            : vm.parseJsonBytes(vm.readFile("../../pipeline/mint/artifacts/V2.json"), ".contracts.Factory.bytecode");
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(address(made) != address(0), "no factory");
    }

    function deployWith(bytes memory arguments) internal virtual override returns (ICollection) {
        Terms memory terms;
        (
            terms.name,
            terms.symbol,
            terms.owner,
            terms.minter,
            terms.royaltyReceiver,
            terms.royaltyBps,
            terms.maxSupply,
            terms.contractCidDigest
        ) = abi.decode(arguments, (string, string, address, address, address, uint96, uint256, bytes32));
        return makeOf(terms);
    }

    function someTerms() internal pure returns (Terms memory terms) {
        terms.name = "Some art";
        terms.symbol = "ART";
        terms.owner = OWNER;
        terms.minter = MINTER;
        terms.royaltyReceiver = ROYALTY_RECEIVER;
        terms.royaltyBps = 500;
        terms.contractCidDigest = DIGEST;
    }

    function makeOf(Terms memory terms) internal returns (ICollectionV2) {
        return ICollectionV2(factory.makeCollection(terms, bytes32(++_made), false, FirstBatch(address(0), 0, 0)));
    }

    function makeDropOf(ICollection collection, Payee[] memory payees) internal returns (IDrop) {
        return IDrop(factory.makeDrop(OWNER, address(collection), payees, bytes32(++_made), false));
    }

    function openLot(ICollectionV2 collection, uint256 quantity, address seller, bool placeholder) internal {
        uint256 start = collection.nextTokenId();
        vm.prank(OWNER);
        collection.openLot(start, quantity, DIGEST, seller, placeholder, "");
    }
}
