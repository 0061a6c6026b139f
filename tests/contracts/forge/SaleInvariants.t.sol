// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {ICollectionV2} from "contracts/ICollectionV2.sol";
import {Payee} from "contracts/IFactory.sol";
import {IDrop, Kind, Stage} from "contracts/IDrop.sol";
import {OnV2} from "./V2.sol";

/// @title  A sale as many people would use it, in any order and at any time, and a plain record of what must be.
contract Crowd is OnV2 {
    address private constant ARTIST = address(0xA27157);
    address private constant HELPER = address(0x4E19E4);
    address private constant THIRD = address(0x741D);
    uint40 private constant START = 1_000_000;

    ICollectionV2 public immutable collection;
    IDrop public immutable sale;
    address[] public buyers = [ALICE, BOB, STRANGER];
    address[] public payees = [ARTIST, HELPER, THIRD];

    /// @dev Forge calls `settle` as well, from other accounts.
    address private immutable _test = msg.sender;

    address[] public owners; // of token id i + 1
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public outside; // purchases that succeeded where they must not
    uint256 public published; // the last token id that must have its own metadata
    mapping(uint256 tokenId => bytes32) public digests;

    constructor() {
        vm.warp(START);
        collection = makeOf(someTerms());
        Payee[] memory shares = new Payee[](3);
        (shares[0], shares[1], shares[2]) = (Payee(ARTIST, 3_334), Payee(HELPER, 3_333), Payee(THIRD, 3_333));
        sale = makeDropOf(collection, shares);
        openLot(collection, 60, address(sale), true);
        Stage memory stage = Stage({
            kind: Kind.Auction,
            start: START + 100,
            end: START + 1_000,
            price: 1_000_003,
            supply: 20,
            walletLimit: 9,
            sold: 0,
            key: bytes32(uint256(100) << 96 | 77)
        });
        vm.prank(OWNER);
        sale.addStage(stage);
        stage.kind = Kind.Public;
        (stage.start, stage.end, stage.price, stage.supply, stage.key) = (START + 1_200, START + 3_000, 101, 30, 0);
        vm.prank(OWNER);
        sale.addStage(stage);
        for (uint256 i = 0; i < 3; ++i) {
            vm.deal(buyers[i], 1 ether);
        }
    }

    function supply() external view returns (uint256) {
        return owners.length;
    }

    // ───────────────────────────── What people do ──────────────────────────────

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 150);
    }

    function bid(uint256 by, uint256 quantity, uint256 more) external {
        quantity = quantity % 5;
        address buyer = buyers[by % 3];
        (uint256 price,) = sale.auctionPrice();
        uint256 value = price * quantity + (more % 3 == 0 ? more % 1_000 : 0);
        vm.prank(buyer);
        (bool bought,) = address(sale).call{value: value}(abi.encodeCall(IDrop.bid, (0, buyer, quantity)));
        if (bought) record(buyer, quantity, value, START + 100, START + 1_000);
    }

    function buy(uint256 by, uint256 quantity, bool exactly) external {
        quantity = quantity % 5;
        address buyer = buyers[by % 3];
        uint256 value = 101 * quantity + (exactly ? 0 : 1);
        vm.prank(buyer);
        (bool bought,) = address(sale).call{value: value}(abi.encodeCall(IDrop.buy, (1, buyer, quantity)));
        if (bought && !exactly) ++outside;
        if (bought) record(buyer, quantity, value, START + 1_200, START + 3_000);
    }

    function refund(uint256 by) external {
        address buyer = buyers[by % 3];
        uint256 owed = sale.refundOf(buyer);
        vm.prank(buyer);
        (bool done,) = address(sale).call(abi.encodeCall(IDrop.refund, (buyer)));
        vm.assertEq(done, owed != 0, "refunded");
        paidOut += owed;
    }

    function withdraw(uint256 index) external {
        index = index % 3;
        uint256 owed = sale.owedTo(index);
        (bool done,) = address(sale).call(abi.encodeCall(IDrop.withdraw, (index, payees[index])));
        vm.assertEq(done, owed != 0, "withdrawn");
        paidOut += owed;
    }

    function force(uint256 value) external {
        value = value % 100;
        vm.deal(address(sale), address(sale).balance + value);
        paidIn += value;
    }

    function pause(uint256 chance) external {
        vm.prank(OWNER);
        sale.setPaused(chance % 4 == 0);
    }

    function publish(uint256 end, bytes32 digest) external {
        if (digest == 0 || published >= owners.length) return;
        end = bound(end, published + 1, owners.length);
        vm.prank(OWNER);
        collection.publish(published + 1, end, digest);
        for (; published < end; ++published) {
            digests[published + 1] = digest;
        }
    }

    function closeAndMint(uint256 quantity, uint256 chance) external {
        if (chance % 8 != 0) return;
        (,,, bool open) = collection.lot();
        if (open) {
            vm.prank(OWNER);
            collection.closeLot();
        }
        bool pending = published < owners.length;
        quantity = 1 + quantity % 4;
        vm.prank(OWNER);
        (bool minted,) = address(collection)
            .call(abi.encodeCall(ICollection.mintBatch, (owners.length + 1, HELPER, quantity, DIGEST)));
        vm.assertEq(minted, !pending, "nothing else while a lot is pending");
        if (minted) {
            for (uint256 i = 0; i < quantity; ++i) {
                owners.push(HELPER);
                digests[owners.length] = DIGEST;
            }
            published = owners.length;
        }
        if (!pending) openLot(collection, 25, address(sale), true);
    }

    function transfer(uint256 tokenId, uint256 to) external {
        if (owners.length == 0) return;
        tokenId = bound(tokenId, 1, owners.length);
        vm.prank(owners[tokenId - 1]);
        collection.transferFrom(owners[tokenId - 1], buyers[to % 3], tokenId);
        owners[tokenId - 1] = buyers[to % 3];
    }

    function record(address buyer, uint256 quantity, uint256 value, uint256 start, uint256 end) private {
        if (quantity == 0 || block.timestamp < start || block.timestamp >= end || sale.paused()) ++outside;
        for (uint256 i = 0; i < quantity; ++i) {
            owners.push(buyer);
        }
        paidIn += value;
    }

    // ───────────────────────────── How it ends ─────────────────────────────────

    /// @dev After everything: whoever is owed money gets it, and nothing is left.
    function settle() external {
        if (msg.sender != _test) return;
        vm.warp(START + 4_000);
        for (uint256 i = 0; i < 3; ++i) {
            this.refund(i);
        }
        for (uint256 i = 0; i < 3; ++i) {
            this.withdraw(i);
        }
        vm.assertEq(address(sale).balance, 0, "nothing is left");
        vm.assertEq(paidOut, paidIn, "all of it");
    }
}

/// @title  What holds of a sale after any calls by anybody, at any time.
contract SaleInvariantsTest is OnV2 {
    Crowd private crowd;
    ICollectionV2 private collection;
    IDrop private sale;

    function setUp() public {
        crowd = new Crowd();
        (collection, sale) = (crowd.collection(), crowd.sale());
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    function afterInvariant() external {
        crowd.settle();
    }

    function invariant_WhatIsOwedIsThere() public view {
        uint256 owed = 0;
        for (uint256 i = 0; i < 3; ++i) {
            owed += sale.owedTo(i) + sale.refundOf(crowd.buyers(i));
        }
        vm.assertLe(owed, address(sale).balance, "owed");
    }

    function invariant_NoWeiIsLost() public view {
        vm.assertEq(crowd.paidIn(), crowd.paidOut() + address(sale).balance, "in and out");
    }

    function invariant_NoPurchaseOutsideItsStage() public view {
        vm.assertEq(crowd.outside(), 0, "purchases");
        Stage[] memory stages = sale.stages();
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertLe(stages[i].sold, stages[i].supply, "supply of a stage");
            for (uint256 j = 0; j < 3; ++j) {
                vm.assertLe(sale.boughtBy(i, crowd.buyers(j)), stages[i].walletLimit, "limit");
            }
        }
    }

    function invariant_EveryTokenIsSoldOnceAndHasItsMetadataOnce() public view {
        uint256 supply = crowd.supply();
        vm.assertEq(collection.totalSupply(), supply, "supply");
        for (uint256 id = 1; id <= supply; ++id) {
            vm.assertEq(collection.ownerOf(id), crowd.owners(id - 1), "owner");
            (,, bytes32 digest) = collection.batchOf(id);
            vm.assertEq(digest, id <= crowd.published() ? crowd.digests(id) : DIGEST, "digest");
        }
    }

    function invariant_BatchesCoverTheIdsWithoutGaps() public view {
        (, uint256 end,, bool open) = collection.lot();
        uint256 expected = 1;
        while (expected <= crowd.supply()) {
            (uint256 first, uint256 last,) = collection.batchOf(expected);
            vm.assertEq(first, expected, "start");
            expected = last + 1;
        }
        vm.assertTrue(expected == collection.nextTokenId() || (open && expected == end + 1), "end");
    }
}
