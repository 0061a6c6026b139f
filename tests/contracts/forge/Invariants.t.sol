// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {Test} from "./Test.sol";

/// @title  Calls the collection as many people would, honest or not, and keeps its own plain record of what must be.
contract Handler is Test {
    ICollection public immutable collection;
    uint256 public constant MAX_SUPPLY = 400;

    address[] public actors = [OWNER, MINTER, ALICE, BOB, STRANGER, address(1)];

    /// @dev Owner of token id i + 1, and the first token id of each batch.
    address[] public owners;
    uint256[] public starts;

    constructor() {
        collection = deploy(MAX_SUPPLY);
    }

    function supply() external view returns (uint256) {
        return owners.length;
    }

    function batches() external view returns (uint256) {
        return starts.length;
    }

    // ───────────────────────────── What people do ──────────────────────────────

    function mintBatch(uint256 by, uint256 to, uint256 quantity) external {
        (address sender, address recipient) = (actor(by), actor(to));
        quantity = bound(quantity, 1, 30);
        bool allowed = mayMint(sender, quantity);
        bytes memory call_ =
            abi.encodeCall(ICollection.mintBatch, (owners.length + 1, recipient, quantity, keccak256(abi.encode(by))));
        send(sender, call_, allowed);
        if (!allowed) return;
        starts.push(owners.length + 1);
        for (uint256 i = 0; i < quantity; ++i) {
            owners.push(recipient);
        }
        again(sender, call_);
    }

    function airdrop(uint256 by, uint256[] calldata seeds) external {
        address sender = actor(by);
        uint256 quantity = seeds.length > 10 ? 10 : seeds.length;
        if (quantity == 0) return;
        address[] memory to = new address[](quantity);
        for (uint256 i = 0; i < quantity; ++i) {
            to[i] = actor(seeds[i]);
        }
        bool allowed = mayMint(sender, quantity);
        bytes memory call_ = abi.encodeCall(ICollection.airdrop, (owners.length + 1, to, keccak256(abi.encode(by))));
        send(sender, call_, allowed);
        if (!allowed) return;
        starts.push(owners.length + 1);
        for (uint256 i = 0; i < quantity; ++i) {
            owners.push(to[i]);
        }
        again(sender, call_);
    }

    function transfer(uint256 by, uint256 to, uint256 tokenId) external {
        if (owners.length == 0) return;
        tokenId = bound(tokenId, 1, owners.length);
        address holder = owners[tokenId - 1];
        address sender = by % 3 == 0 ? actor(by) : holder;
        address recipient = actor(to);
        send(sender, abi.encodeCall(ICollection.transferFrom, (holder, recipient, tokenId)), sender == holder);
        if (sender == holder) owners[tokenId - 1] = recipient;
    }

    function setBatchCid(uint256 by, uint256 tokenId, bytes32 digest) external {
        if (owners.length == 0 || digest == 0) return;
        tokenId = bound(tokenId, 1, owners.length);
        send(actor(by), abi.encodeCall(ICollection.setBatchCid, (tokenId, digest)), actor(by) == OWNER);
    }

    // ───────────────────────────── How it must end ─────────────────────────────

    function mayMint(address sender, uint256 quantity) private view returns (bool) {
        return (sender == OWNER || sender == MINTER) && owners.length + quantity <= MAX_SUPPLY;
    }

    function send(address sender, bytes memory call_, bool allowed) private {
        vm.prank(sender);
        (bool success,) = address(collection).call(call_);
        vm.assertEq(success, allowed, "allowed");
    }

    /// @dev Every mint is sent a second time, as it was: it never mints a second time.
    function again(address sender, bytes memory call_) private {
        vm.prank(sender);
        (bool success, bytes memory reason) = address(collection).call(call_);
        vm.assertEq(success, false, "minted twice");
        vm.assertEq(
            reason,
            abi.encodeWithSelector(ICollection.UnexpectedStart.selector, starts[starts.length - 1], owners.length + 1),
            "reason"
        );
    }

    function actor(uint256 seed) private view returns (address) {
        return actors[seed % actors.length];
    }
}

/// @title  What holds after any calls by anybody, in any order.
contract InvariantsTest is Test {
    Handler private handler;
    ICollection private collection;

    function setUp() public {
        handler = new Handler();
        collection = handler.collection();
    }

    /// @dev Forge calls these contracts and no others.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_EveryTokenHasTheOwnerItShould() public view {
        for (uint256 tokenId = 1; tokenId <= handler.supply(); ++tokenId) {
            vm.assertEq(collection.ownerOf(tokenId), handler.owners(tokenId - 1), "owner");
        }
    }

    function invariant_BalancesAddUpToTheSupply() public view {
        uint256 sum = 0;
        for (uint256 i = 0; i < 6; ++i) {
            address actor = handler.actors(i);
            uint256 expected = 0;
            for (uint256 j = 0; j < handler.supply(); ++j) {
                if (handler.owners(j) == actor) ++expected;
            }
            vm.assertEq(collection.balanceOf(actor), expected, "balance");
            sum += expected;
        }
        vm.assertEq(sum, collection.totalSupply(), "sum of balances");
    }

    function invariant_BatchesCoverTheIdsWithoutGaps() public view {
        uint256 expected = 1;
        for (uint256 i = 0; i < handler.batches(); ++i) {
            (uint256 start, uint256 end, bytes32 digest) = collection.batchOf(expected);
            vm.assertEq(start, expected, "start");
            vm.assertEq(start, handler.starts(i), "start");
            vm.assertTrue(end >= start && digest != 0, "end and digest");
            (uint256 sameStart, uint256 sameEnd,) = collection.batchOf(end);
            vm.assertEq(sameStart, start, "start, asked by the end");
            vm.assertEq(sameEnd, end, "end, asked by the end");
            expected = end + 1;
        }
        vm.assertEq(expected, collection.nextTokenId(), "next token id");
        vm.assertEq(collection.totalSupply(), handler.supply(), "supply");
    }

    function invariant_NeverMoreThanTheMaximumSupply() public view {
        vm.assertLe(collection.totalSupply(), handler.MAX_SUPPLY(), "supply");
    }

    function invariant_RolesStayWhoTheyWere() public view {
        vm.assertEq(collection.owner(), OWNER, "owner");
        vm.assertEq(collection.minter(), MINTER, "minter");
    }
}
