// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ICollection} from "contracts/ICollection.sol";
import {Answerer, Boomerang, Collector} from "contracts/mocks/Receivers.sol";
import {Test} from "./Test.sol";

/// @title  OpenZeppelin's ERC-721 with one token of ALICE's, to compare receivers with.
contract OneToken is ERC721("", "") {
    constructor(address owner) {
        _mint(owner, 1);
    }
}

/// @title  Approvals, transfers, and receivers of all kinds.
contract TransfersTest is Test {
    ICollection private collection;
    uint256 private constant SUPPLY = 33;

    /// @dev Ids 1 to 20 and 24 to 33 are ALICE's by batch, 21 to 23 by airdrop.
    function setUp() public {
        collection = deploy(UNLIMITED);
        mint(collection, ALICE, 20);
        drop(collection, addresses(ALICE, ALICE, ALICE));
        mint(collection, ALICE, 10);
    }

    // ───────────────────────────── Transfers ───────────────────────────────────

    function testFuzz_Transfer_MovesOneTokenAndLeavesTheOthers(uint256 tokenId, address to) public {
        (tokenId, to) = (bound(tokenId, 1, SUPPLY), nonZero(to));
        vm.assume(to != ALICE);
        vm.expectEmit(address(collection));
        emit ICollection.Transfer(ALICE, to, tokenId);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, to, tokenId);
        for (uint256 id = 1; id <= SUPPLY; ++id) {
            vm.assertEq(collection.ownerOf(id), id == tokenId ? to : ALICE, "owner");
        }
        vm.assertEq(collection.balanceOf(ALICE), SUPPLY - 1, "balance of the sender");
        vm.assertEq(collection.balanceOf(to), 1, "balance of the recipient");
    }

    function testFuzz_Transfer_ThereAndBackAndOn(uint256 tokenId) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, BOB, tokenId);
        vm.prank(BOB);
        collection.transferFrom(BOB, ALICE, tokenId);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, STRANGER, tokenId);
        vm.assertEq(collection.ownerOf(tokenId), STRANGER, "owner");
        vm.assertEq(collection.balanceOf(BOB), 0, "balance");
    }

    function testFuzz_Transfer_ToOneself(uint256 tokenId) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, ALICE, tokenId);
        vm.assertEq(collection.ownerOf(tokenId), ALICE, "owner");
        vm.assertEq(collection.balanceOf(ALICE), SUPPLY, "balance");
    }

    /// @dev The address 1 is a precompile, and small addresses look like storage slots.
    function test_Transfer_ToSmallAddresses() public {
        for (uint160 small = 1; small <= 20; ++small) {
            vm.prank(ALICE);
            collection.transferFrom(ALICE, address(small), small);
            vm.assertEq(collection.ownerOf(small), address(small), "owner");
            vm.assertEq(collection.balanceOf(address(small)), 1, "balance");
        }
        vm.assertEq(collection.owner(), OWNER, "owner of the contract");
        vm.assertEq(collection.minter(), MINTER, "minter");
        vm.assertEq(collection.pendingOwner(), address(0), "pending owner");
        vm.assertEq(collection.totalSupply(), SUPPLY, "supply");
    }

    function testFuzz_Transfer_AStrangerMayNot(uint256 tokenId, address stranger) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.assume(stranger != ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InsufficientApproval.selector, stranger, tokenId));
        vm.prank(stranger);
        collection.transferFrom(ALICE, stranger, tokenId);
    }

    function test_Transfer_TheOwnerOfTheContractIsAStranger() public {
        testFuzz_Transfer_AStrangerMayNot(1, OWNER);
        testFuzz_Transfer_AStrangerMayNot(1, MINTER);
        testFuzz_Transfer_AStrangerMayNot(1, address(collection));
    }

    function testFuzz_Transfer_FromTheWrongOwner(uint256 tokenId, address from) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.assume(from != ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721IncorrectOwner.selector, from, tokenId, ALICE));
        vm.prank(ALICE);
        collection.transferFrom(from, BOB, tokenId);
    }

    function test_Transfer_ToTheZeroAddress() public {
        bytes memory reason = abi.encodeWithSelector(ICollection.ERC721InvalidReceiver.selector, address(0));
        vm.expectRevert(reason);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, address(0), 1);
        vm.expectRevert(reason);
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, address(0), 1);
        vm.expectRevert(reason);
        collection.transferFrom(ALICE, address(0), SUPPLY + 1); // before the token is looked for, as OpenZeppelin does
    }

    // ───────────────────────────── Approvals ───────────────────────────────────

    function testFuzz_Approve_LetsOneAccountMoveOneTokenOnce(uint256 tokenId, address approved) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.assume(approved != ALICE && approved != address(0));
        vm.expectEmit(address(collection));
        emit ICollection.Approval(ALICE, approved, tokenId);
        vm.prank(ALICE);
        collection.approve(approved, tokenId);
        vm.assertEq(collection.getApproved(tokenId), approved, "approved");

        vm.prank(approved);
        collection.transferFrom(ALICE, BOB, tokenId);
        vm.assertEq(collection.getApproved(tokenId), address(0), "approved after the transfer");
        if (approved != BOB) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InsufficientApproval.selector, approved, tokenId));
            vm.prank(approved);
            collection.transferFrom(BOB, ALICE, tokenId);
        }
    }

    function test_Approve_CanBeWithdrawn() public {
        vm.prank(ALICE);
        collection.approve(BOB, 1);
        vm.prank(ALICE);
        collection.approve(address(0), 1);
        testFuzz_Transfer_AStrangerMayNot(1, BOB);
    }

    function testFuzz_Approve_OnlyOwnerAndOperators(uint256 tokenId, address stranger) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.assume(stranger != ALICE && stranger != BOB);
        vm.prank(ALICE);
        collection.approve(stranger, tokenId); // who is approved for a token may not pass that on
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidApprover.selector, stranger));
        vm.prank(stranger);
        collection.approve(BOB, tokenId);

        vm.prank(ALICE);
        collection.setApprovalForAll(BOB, true);
        vm.prank(BOB);
        collection.approve(MINTER, tokenId);
        vm.assertEq(collection.getApproved(tokenId), MINTER, "approved by the operator");
    }

    function testFuzz_SetApprovalForAll(address operator, uint256 tokenId) public {
        vm.assume(operator != address(0) && operator != ALICE);
        tokenId = bound(tokenId, 1, SUPPLY);
        vm.expectEmit(address(collection));
        emit ICollection.ApprovalForAll(ALICE, operator, true);
        vm.prank(ALICE);
        collection.setApprovalForAll(operator, true);
        vm.assertTrue(collection.isApprovedForAll(ALICE, operator), "approved");
        vm.assertEq(collection.isApprovedForAll(operator, ALICE), false, "the other way round");
        vm.prank(operator);
        collection.transferFrom(ALICE, address(0xB0), tokenId);

        vm.prank(ALICE);
        collection.setApprovalForAll(operator, false);
        vm.assertEq(collection.isApprovedForAll(ALICE, operator), false, "approved after the end");
        testFuzz_Transfer_AStrangerMayNot(tokenId == 1 ? 2 : 1, operator);
    }

    function test_SetApprovalForAll_RefusesTheZeroAddress() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidOperator.selector, address(0)));
        collection.setApprovalForAll(address(0), true);
    }

    function test_BalanceOf_RefusesTheZeroAddress() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidOwner.selector, address(0)));
        collection.balanceOf(address(0));
    }

    // ───────────────────────────── Receivers ───────────────────────────────────

    function testFuzz_SafeTransfer_TellsTheReceiver(uint256 tokenId, bytes calldata data) public {
        tokenId = bound(tokenId, 1, SUPPLY);
        Collector receiver = new Collector();
        vm.prank(ALICE);
        collection.setApprovalForAll(BOB, true);
        vm.prank(BOB);
        collection.safeTransferFrom(ALICE, address(receiver), tokenId, data);
        vm.assertEq(receiver.operator(), BOB, "operator");
        vm.assertEq(receiver.from(), ALICE, "from");
        vm.assertEq(receiver.tokenId(), tokenId, "token id");
        vm.assertEq(receiver.data(), data, "data");
        vm.assertEq(receiver.ownerAtTheTime(), address(receiver), "owner during the call");
    }

    function test_SafeTransfer_WithoutDataGivesEmptyData() public {
        Collector receiver = new Collector();
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, address(receiver), 1);
        vm.assertEq(receiver.data(), "", "data");
        vm.assertEq(receiver.operator(), ALICE, "operator");
    }

    function testFuzz_SafeTransfer_ToAnAccountWithoutCode(address to, bytes calldata data) public {
        vm.assume(to != address(0) && to.code.length == 0 && to != ALICE);
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, to, 5, data);
        vm.assertEq(collection.ownerOf(5), to, "owner");
    }

    function test_SafeTransfer_AReceiverMaySendTheTokenOn() public {
        Boomerang receiver = new Boomerang();
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, address(receiver), 5);
        vm.assertEq(collection.ownerOf(5), ALICE, "owner");
        vm.assertEq(collection.balanceOf(address(receiver)), 0, "balance");
        vm.assertTrue(receiver.secondTransferFailed(), "sent twice");
    }

    function test_SafeTransfer_RefusesAContractWithoutTheFunction() public {
        assertRefused(address(this));
        assertRefused(address(collection));
    }

    function testFuzz_SafeTransfer_RefusesEveryOtherAnswer(bytes4 answer) public {
        vm.assume(answer != 0x150b7a02);
        assertRefused(address(new Answerer(false, abi.encode(answer))));
    }

    function test_SafeTransfer_RefusesShortAndSillyAnswers() public {
        assertRefused(address(new Answerer(false, "")));
        assertRefused(address(new Answerer(false, hex"150b7a02"))); // the selector, but no ABI word
        assertRefused(address(new Answerer(false, new bytes(31))));
        assertRefused(address(new Answerer(false, abi.encodePacked(bytes4(0x150b7a02), bytes27(0)))));
        assertRefused(address(new Answerer(false, abi.encode(bytes32(bytes4(0x150b7a02)) | bytes32(uint256(1))))));
        assertRefused(address(new Answerer(true, "")));
    }

    /// @dev 31 bytes, at an address whose last byte is zero: what the memory held before must not complete the answer.
    function test_SafeTransfer_DoesNotCompleteAShortAnswerItself() public {
        address receiver = address(0x1234567800);
        vm.etch(receiver, hex"63150b7a0260e01b5f52601f5ff3"); // returns the selector and 27 zeros
        assertRefused(receiver);
    }

    function test_SafeTransfer_TakesALongerAnswer() public {
        Answerer receiver = new Answerer(false, abi.encode(bytes4(0x150b7a02), "and more"));
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, address(receiver), 1);
        vm.assertEq(collection.ownerOf(1), address(receiver), "owner");
    }

    function testFuzz_SafeTransfer_HandsOnTheReceiversReason(bytes memory reason) public {
        vm.assume(reason.length != 0);
        Answerer receiver = new Answerer(true, reason);
        vm.expectRevert(reason);
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, address(receiver), 1, reason);
    }

    /// @dev Whatever a receiver does, OpenZeppelin's token comes to the same end, with the same reason if there is one.
    function testFuzz_SafeTransfer_EndsAsOpenZeppelins(bool reverts, bytes memory answer, uint8 kind) public {
        if (kind % 3 == 0) answer = abi.encode(bytes4(0x150b7a02), answer);
        if (kind % 3 == 1) answer = bytes.concat(bytes4(0x150b7a02), answer);
        address receiver = address(new Answerer(reverts, answer));
        ERC721 oneToken = new OneToken(ALICE);
        bytes memory transfer =
            abi.encodeWithSignature("safeTransferFrom(address,address,uint256,bytes)", ALICE, receiver, 1, answer);

        vm.prank(ALICE);
        (bool expected, bytes memory expectedReason) = address(oneToken).call(transfer);
        vm.prank(ALICE);
        (bool got, bytes memory reason) = address(collection).call(transfer);
        vm.assertEq(got, expected, "success");
        // An answer that is no bytes4 makes OpenZeppelin revert without a reason; ours is ERC721InvalidReceiver.
        if (!got && expectedReason.length != 0) vm.assertEq(reason, expectedReason, "reason");
    }

    function test_SafeTransfer_NeedsTheSameRights() public {
        Collector receiver = new Collector();
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InsufficientApproval.selector, STRANGER, 1));
        vm.prank(STRANGER);
        collection.safeTransferFrom(ALICE, address(receiver), 1);
    }

    function assertRefused(address receiver) private {
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidReceiver.selector, receiver));
        vm.prank(ALICE);
        collection.safeTransferFrom(ALICE, receiver, 1);
        vm.assertEq(collection.ownerOf(1), ALICE, "owner");
    }
}
