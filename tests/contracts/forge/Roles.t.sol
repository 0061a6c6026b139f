// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {Test} from "./Test.sol";

/// @title  Owner, minter, metadata changes, royalty, interfaces.
contract RolesTest is Test {
    ICollection private collection;

    function setUp() public {
        collection = deploy(UNLIMITED);
        mint(collection, ALICE, 10);
        drop(collection, addresses(ALICE, BOB, BOB));
        mint(collection, BOB, 5);
    }

    // ───────────────────────────── Ownership ───────────────────────────────────

    function testFuzz_Ownership_TakesTwoSteps(address next) public {
        vm.assume(next != OWNER && next != address(0));
        vm.expectEmit(address(collection));
        emit ICollection.OwnershipTransferStarted(OWNER, next);
        vm.prank(OWNER);
        collection.transferOwnership(next);
        vm.assertEq(collection.owner(), OWNER, "owner after the offer");
        vm.assertEq(collection.pendingOwner(), next, "pending owner");

        vm.expectEmit(address(collection));
        emit ICollection.OwnershipTransferred(OWNER, next);
        vm.prank(next);
        collection.acceptOwnership();
        vm.assertEq(collection.owner(), next, "owner");
        vm.assertEq(collection.pendingOwner(), address(0), "pending owner");
        vm.assertEq(collection.totalSupply(), 18, "neighbours in the slot");

        vm.expectRevert(abi.encodeWithSelector(ICollection.OwnableUnauthorizedAccount.selector, OWNER));
        vm.prank(OWNER);
        collection.close();
        vm.prank(next);
        collection.close();
    }

    function test_Ownership_AnOfferCanBeWithdrawn() public {
        vm.prank(OWNER);
        collection.transferOwnership(ALICE);
        vm.prank(OWNER);
        collection.transferOwnership(address(0));
        vm.expectRevert(abi.encodeWithSelector(ICollection.OwnableUnauthorizedAccount.selector, ALICE));
        vm.prank(ALICE);
        collection.acceptOwnership();
    }

    function testFuzz_Ownership_NobodyElseAccepts(address somebody) public {
        vm.assume(somebody != ALICE && somebody != address(0));
        vm.prank(OWNER);
        collection.transferOwnership(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICollection.OwnableUnauthorizedAccount.selector, somebody));
        vm.prank(somebody);
        collection.acceptOwnership();
    }

    function testFuzz_AStrangerMayChangeNothing(address stranger) public {
        vm.assume(stranger != OWNER);
        bytes[6] memory calls = [
            abi.encodeCall(ICollection.transferOwnership, (stranger)),
            abi.encodeCall(ICollection.setMinter, (stranger)),
            abi.encodeCall(ICollection.setBatchCid, (1, DIGEST)),
            abi.encodeCall(ICollection.setContractURI, (DIGEST)),
            abi.encodeCall(ICollection.freeze, ()),
            abi.encodeCall(ICollection.close, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool success, bytes memory reason) = address(collection).call(calls[i]);
            vm.assertEq(success, false, "success");
            vm.assertEq(
                reason, abi.encodeWithSelector(ICollection.OwnableUnauthorizedAccount.selector, stranger), "reason"
            );
        }
    }

    function test_TheMinterMayMintAndNothingElse() public {
        testFuzz_AStrangerMayChangeNothing(MINTER);
        vm.prank(MINTER);
        collection.mintBatch(19, ALICE, 1, DIGEST);
    }

    function testFuzz_SetMinter(address next) public {
        vm.assume(next != MINTER && next != OWNER);
        vm.expectEmit(address(collection));
        emit ICollection.MinterUpdated(MINTER, next);
        vm.prank(OWNER);
        collection.setMinter(next);
        vm.assertEq(collection.minter(), next, "minter");

        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, MINTER));
        vm.prank(MINTER);
        collection.mintBatch(19, ALICE, 1, DIGEST);
        if (next != address(0)) {
            vm.prank(next);
            collection.mintBatch(19, ALICE, 1, DIGEST);
        }
    }

    // ───────────────────────────── Metadata ────────────────────────────────────

    function testFuzz_SetBatchCid_ChangesTheWholeBatchAndNoOther(uint256 tokenId, bytes32 digest) public {
        vm.assume(digest != 0);
        tokenId = bound(tokenId, 1, 18);
        (uint256 start, uint256 end, bytes32 old) = collection.batchOf(tokenId);
        vm.expectEmit(address(collection));
        emit ICollection.BatchMetadataUpdate(start, end);
        vm.prank(OWNER);
        collection.setBatchCid(tokenId, digest);
        for (uint256 id = 1; id <= 18; ++id) {
            (uint256 first,, bytes32 got) = collection.batchOf(id);
            bytes32 expected = id >= start && id <= end ? digest : keccak256(abi.encode(first));
            vm.assertEq(got, expected, "digest");
        }
        vm.assertTrue(old != 0, "there was one before");
    }

    function test_SetBatchCid_RefusesTheZeroDigest() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidDigest.selector));
        vm.prank(OWNER);
        collection.setBatchCid(1, 0);
    }

    function testFuzz_SetContractURI(bytes32 digest) public {
        vm.expectEmit(address(collection));
        emit ICollection.ContractURIUpdated();
        vm.prank(OWNER);
        collection.setContractURI(digest);
        vm.assertEq(bytes(collection.contractURI()).length == 0, digest == 0, "empty");
    }

    function test_Freeze_MakesMetadataUnchangeable() public {
        string memory tokenURI = collection.tokenURI(3);
        string memory contractURI = collection.contractURI();
        vm.expectEmit(address(collection));
        emit ICollection.MetadataFrozen();
        vm.prank(OWNER);
        collection.freeze();
        vm.assertTrue(collection.frozen(), "frozen");

        bytes memory reason = abi.encodeWithSelector(ICollection.MetadataIsFrozen.selector);
        vm.expectRevert(reason);
        vm.prank(OWNER);
        collection.setBatchCid(3, DIGEST);
        vm.expectRevert(reason);
        vm.prank(OWNER);
        collection.setContractURI(keccak256("another"));
        vm.expectRevert(reason);
        vm.prank(OWNER);
        collection.freeze();
        vm.assertEq(collection.tokenURI(3), tokenURI, "token URI");
        vm.assertEq(collection.contractURI(), contractURI, "contract URI");
    }

    function test_Freeze_MintingGoesOn() public {
        vm.prank(OWNER);
        collection.freeze();
        vm.assertEq(collection.closed(), false, "closed");
        mint(collection, ALICE, 1);
    }

    // ───────────────────────────── ERC-2981, ERC-165 ───────────────────────────

    function testFuzz_RoyaltyInfo(address receiver, uint96 basisPoints, uint256 tokenId, uint256 price) public {
        (receiver, basisPoints) = (nonZero(receiver), uint96(bound(basisPoints, 0, 10_000)));
        price = bound(price, 0, type(uint256).max / 10_000 - 1);
        ICollection fresh = deployWith(abi.encode("A", "B", OWNER, MINTER, receiver, basisPoints, 0, bytes32(0)));
        (address gotReceiver, uint256 amount) = fresh.royaltyInfo(tokenId, price);
        vm.assertEq(gotReceiver, receiver, "receiver");
        vm.assertEq(amount, price * basisPoints / 10_000, "amount");
        vm.assertLe(amount, price, "amount");
    }

    function test_RoyaltyInfo_RefusesAPriceThatOverflows() public {
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        collection.royaltyInfo(1, type(uint256).max);
    }

    function testFuzz_SupportsInterface(bytes4 other) public view {
        bytes4[5] memory supported = [bytes4(0x01ffc9a7), 0x80ac58cd, 0x5b5e139f, 0x2a55205a, 0x49064906];
        bool known = false;
        for (uint256 i = 0; i < supported.length; ++i) {
            vm.assertTrue(collection.supportsInterface(supported[i]), "supported");
            known = known || other == supported[i];
        }
        vm.assertEq(collection.supportsInterface(other), known, "others");
        vm.assertEq(collection.supportsInterface(0xffffffff), false, "0xffffffff");
        vm.assertEq(collection.supportsInterface(0x780e9d63), false, "Enumerable");
    }

    function test_NobodyCanSendEther() public {
        (bool success,) = address(collection).call{value: 1}("");
        vm.assertEq(success, false, "plain transfer");
        (success,) = address(collection).call{value: 1}(abi.encodeCall(ICollection.approve, (BOB, 1)));
        vm.assertEq(success, false, "with a call");
    }
}
