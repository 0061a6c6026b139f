// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {Test} from "./Test.sol";

/// @title  Properties that hold for every ERC-721, by a caller that knows nothing of batches.
/// @dev    Each takes any state that minting, airdrops and transfers can make, and any accounts.
contract PropertiesTest is Test {
    ICollection private collection;

    function setUp() public {
        collection = deploy(UNLIMITED);
    }

    /// @dev A state out of a seed: some batches, some airdrops, some transfers. Gives an existing token and its owner.
    function anyState(uint256 seed) private returns (uint256 tokenId, address owner) {
        uint256 batches = bound(seed, 1, 6);
        for (uint256 i = 0; i < batches; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(seed, i)));
            if (chance % 3 == 0) drop(collection, addresses(ALICE, BOB, STRANGER));
            else mint(collection, chance % 2 == 0 ? ALICE : BOB, 1 + chance % 40);

            uint256 moved = bound(chance >> 8, 1, collection.totalSupply());
            address holder = collection.ownerOf(moved);
            vm.prank(holder);
            collection.transferFrom(holder, STRANGER, moved);
        }
        tokenId = bound(seed >> 16, 1, collection.totalSupply());
        owner = collection.ownerOf(tokenId);
    }

    function testFuzz_OwnersHaveBalances(uint256 seed) public {
        (, address owner) = anyState(seed);
        vm.assertTrue(owner != address(0), "owner");
        vm.assertTrue(collection.balanceOf(owner) > 0, "balance");
    }

    function testFuzz_BalanceIsTheNumberOfTokens(uint256 seed) public {
        (, address owner) = anyState(seed);
        uint256 count = 0;
        for (uint256 id = 1; id <= collection.totalSupply(); ++id) {
            if (collection.ownerOf(id) == owner) ++count;
        }
        vm.assertEq(collection.balanceOf(owner), count, "balance");
    }

    function testFuzz_TransferMovesOneFromBalanceToBalance(uint256 seed, address to) public {
        (uint256 tokenId, address owner) = anyState(seed);
        to = nonZero(to);
        vm.assume(to != owner);
        (uint256 mine, uint256 theirs) = (collection.balanceOf(owner), collection.balanceOf(to));
        vm.prank(owner);
        collection.transferFrom(owner, to, tokenId);
        vm.assertEq(collection.balanceOf(owner), mine - 1, "sender");
        vm.assertEq(collection.balanceOf(to), theirs + 1, "recipient");
        vm.assertEq(collection.ownerOf(tokenId), to, "owner");
    }

    function testFuzz_TransferResetsTheApproval(uint256 seed, address approved) public {
        (uint256 tokenId, address owner) = anyState(seed);
        vm.prank(owner);
        collection.approve(approved, tokenId);
        vm.assertEq(collection.getApproved(tokenId), approved, "before");
        vm.prank(owner);
        collection.transferFrom(owner, owner, tokenId);
        vm.assertEq(collection.getApproved(tokenId), address(0), "after a transfer to oneself");
    }

    function testFuzz_TransferDoesNotTouchOtherTokens(uint256 seed, address to) public {
        (uint256 tokenId, address owner) = anyState(seed);
        to = nonZero(to);
        uint256 supply = collection.totalSupply();
        address[] memory before = new address[](supply);
        for (uint256 id = 1; id <= supply; ++id) {
            before[id - 1] = collection.ownerOf(id);
        }
        vm.prank(owner);
        collection.transferFrom(owner, to, tokenId);
        for (uint256 id = 1; id <= supply; ++id) {
            vm.assertEq(collection.ownerOf(id), id == tokenId ? to : before[id - 1], "owner");
        }
        vm.assertEq(collection.totalSupply(), supply, "supply");
    }

    function testFuzz_OnlyTheApprovedMove(uint256 seed, address stranger) public {
        (uint256 tokenId, address owner) = anyState(seed);
        vm.assume(stranger != owner);
        vm.expectRevert();
        vm.prank(stranger);
        collection.transferFrom(owner, stranger, tokenId);
        vm.expectRevert();
        vm.prank(stranger);
        collection.approve(stranger, tokenId);
    }

    function testFuzz_NothingGoesToTheZeroAddress(uint256 seed) public {
        (uint256 tokenId, address owner) = anyState(seed);
        vm.expectRevert();
        vm.prank(owner);
        collection.transferFrom(owner, address(0), tokenId);
        vm.expectRevert();
        collection.balanceOf(address(0));
    }

    function testFuzz_MintingNeverTouchesExistingTokens(uint256 seed, address to, uint256 quantity) public {
        (uint256 tokenId, address owner) = anyState(seed);
        string memory uri = collection.tokenURI(tokenId);
        uint256 supply = collection.totalSupply();
        quantity = bound(quantity, 1, 200);
        mint(collection, nonZero(to), quantity);
        vm.assertEq(collection.ownerOf(tokenId), owner, "owner");
        vm.assertEq(collection.tokenURI(tokenId), uri, "URI");
        vm.assertEq(collection.totalSupply(), supply + quantity, "supply");
    }

    function testFuzz_TransferKeepsTheURI(uint256 seed) public {
        (uint256 tokenId, address owner) = anyState(seed);
        string memory uri = collection.tokenURI(tokenId);
        vm.prank(owner);
        collection.transferFrom(owner, BOB, tokenId);
        vm.assertEq(collection.tokenURI(tokenId), uri, "URI");
    }
}
