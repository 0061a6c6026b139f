// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ICollection} from "contracts/ICollection.sol";
import {Test, Vm} from "./Test.sol";

/// @title  OpenZeppelin's ERC-721 as the model of ours: one storage slot per token, minted one by one.
contract Model is ERC721("Model", "M") {
    uint256 public supply;

    function mint(address to) external {
        _mint(to, ++supply);
    }
}

/// @title  The same random calls to our contract and to OpenZeppelin's: the same owners, balances, approvals, events,
///         results and revert reasons.
contract DifferentialTest is Test {
    uint256 private constant STEPS = 40;
    uint256 private constant MAX_SUPPLY = 60;

    ICollection private ours;
    Model private model;
    address[] private actors;
    uint256 private random;

    function setUp() public {
        ours = deploy(UNLIMITED);
        model = new Model();
        actors = [address(1), address(2), ALICE, BOB, address(ours), address(this), address(0)];
    }

    function testFuzz_BehavesAsOpenZeppelins(uint256 seed) public {
        random = seed;
        for (uint256 step = 0; step < STEPS; ++step) {
            uint256 choice = next(10);
            if (choice == 0) mintBoth();
            else if (choice == 1) dropBoth();
            else if (choice == 2) sameReads();
            else callBoth(choice);
        }
        sameReads();
    }

    // ───────────────────────────── One step ────────────────────────────────────

    function mintBoth() private {
        if (model.supply() >= MAX_SUPPLY) return;
        address to = nonZero(actor());
        uint256 quantity = 1 + next(12);
        vm.recordLogs();
        mint(ours, to, quantity);
        Vm.Log[] memory got = vm.getRecordedLogs();
        vm.recordLogs();
        for (uint256 i = 0; i < quantity; ++i) {
            model.mint(to);
        }
        sameLogs(got, vm.getRecordedLogs());
    }

    function dropBoth() private {
        if (model.supply() >= MAX_SUPPLY) return;
        address[] memory to = new address[](1 + next(5));
        vm.recordLogs();
        for (uint256 i = 0; i < to.length; ++i) {
            to[i] = nonZero(actor());
            model.mint(to[i]);
        }
        Vm.Log[] memory expected = vm.getRecordedLogs();
        vm.recordLogs();
        drop(ours, to);
        sameLogs(vm.getRecordedLogs(), expected);
    }

    /// @dev One call about one token, now and then one that does not exist, mostly by its owner.
    function callBoth(uint256 choice) private {
        uint256 tokenId = next(model.supply() + 2);
        address holder = ownerOrAnybody(tokenId);
        address sender = nonZero(next(2) == 0 ? holder : actor()); // OpenZeppelin lets the zero address do anything
        address from = next(8) == 0 ? actor() : holder;
        address to = actor();
        if (choice == 3) {
            sameCall(sender, abi.encodeCall(ICollection.setApprovalForAll, (to, next(2) == 0)));
        } else if (choice < 6) {
            sameCall(sender, abi.encodeCall(ICollection.approve, (to, tokenId)));
        } else if (choice < 9) {
            sameCall(sender, abi.encodeCall(ICollection.transferFrom, (from, to, tokenId)));
        } else {
            sameCall(sender, abi.encodeWithSignature("safeTransferFrom(address,address,uint256)", from, to, tokenId));
        }
    }

    function sameCall(address sender, bytes memory data) private {
        vm.recordLogs();
        vm.prank(sender);
        (bool got, bytes memory answer) = address(ours).call(data);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.recordLogs();
        vm.prank(sender);
        (bool expected, bytes memory expectedAnswer) = address(model).call(data);
        Vm.Log[] memory expectedLogs = vm.getRecordedLogs();
        vm.assertEq(got, expected, "success");
        vm.assertEq(answer, expectedAnswer, "answer or reason");
        if (got) sameLogs(logs, expectedLogs); // forge also records events that a revert took back
    }

    // ───────────────────────────── Comparison ──────────────────────────────────

    function sameReads() private view {
        vm.assertEq(ours.totalSupply(), model.supply(), "supply");
        for (uint256 tokenId = 0; tokenId <= model.supply() + 1; ++tokenId) {
            sameRead(abi.encodeCall(ICollection.ownerOf, (tokenId)));
            sameRead(abi.encodeCall(ICollection.getApproved, (tokenId)));
        }
        for (uint256 i = 0; i < actors.length; ++i) {
            sameRead(abi.encodeCall(ICollection.balanceOf, (actors[i])));
            for (uint256 j = 0; j < actors.length; ++j) {
                sameRead(abi.encodeCall(ICollection.isApprovedForAll, (actors[i], actors[j])));
            }
        }
    }

    function sameRead(bytes memory data) private view {
        (bool got, bytes memory answer) = address(ours).staticcall(data);
        (bool expected, bytes memory expectedAnswer) = address(model).staticcall(data);
        vm.assertEq(got, expected, "success of a read");
        vm.assertEq(answer, expectedAnswer, "answer of a read");
    }

    function sameLogs(Vm.Log[] memory got, Vm.Log[] memory expected) private pure {
        vm.assertEq(got.length, expected.length, "number of events");
        for (uint256 i = 0; i < got.length; ++i) {
            vm.assertEq(abi.encode(got[i].topics), abi.encode(expected[i].topics), "topics");
            vm.assertEq(got[i].data, expected[i].data, "data");
        }
    }

    // ───────────────────────────── Chance ──────────────────────────────────────

    function next(uint256 range) private returns (uint256) {
        random = uint256(keccak256(abi.encode(random)));
        return random % range;
    }

    function actor() private returns (address) {
        return actors[next(actors.length)];
    }

    function ownerOrAnybody(uint256 tokenId) private returns (address) {
        (bool exists, bytes memory answer) = address(model).staticcall(abi.encodeCall(ICollection.ownerOf, (tokenId)));
        return exists ? abi.decode(answer, (address)) : actor();
    }
}
