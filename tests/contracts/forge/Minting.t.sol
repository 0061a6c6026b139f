// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {Test, Vm} from "./Test.sol";

/// @title  The constructor, mintBatch, airdrop, close, and what they leave behind.
contract MintingTest is Test {
    ICollection private collection;

    function setUp() public {
        collection = deploy(UNLIMITED);
    }

    // ───────────────────────────── Constructor ─────────────────────────────────

    function test_Constructor_SetsWhatItIsGiven() public view {
        vm.assertEq(collection.name(), "Some art", "name");
        vm.assertEq(collection.symbol(), "ART", "symbol");
        vm.assertEq(collection.owner(), OWNER, "owner");
        vm.assertEq(collection.minter(), MINTER, "minter");
        vm.assertEq(collection.pendingOwner(), address(0), "pending owner");
        vm.assertEq(collection.maxSupply(), 0, "maximum supply");
        vm.assertEq(collection.totalSupply(), 0, "supply");
        vm.assertEq(collection.nextTokenId(), 1, "next token id");
        vm.assertEq(collection.frozen() || collection.closed(), false, "frozen or closed");
    }

    function test_Constructor_EmitsOwnerAndMinter() public {
        vm.recordLogs();
        address fresh = address(deploy(UNLIMITED));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes32[] memory owners = new bytes32[](2);
        uint256 count = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != fresh) continue; // a factory tells what it made
            owners[count] = logs[i].topics[2];
            bytes32 expected =
                count == 0 ? ICollection.OwnershipTransferred.selector : ICollection.MinterUpdated.selector;
            vm.assertEq(logs[i].topics[0], expected, "event");
            ++count;
        }
        vm.assertEq(count, 2, "events");
        vm.assertEq(owners[0], bytes32(uint256(uint160(OWNER))), "new owner");
        vm.assertEq(owners[1], bytes32(uint256(uint160(MINTER))), "new minter");
    }

    function test_Constructor_RefusesTheZeroAddressAsOwner() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.OwnableInvalidOwner.selector, address(0)));
        this.deployExternal(abi.encode("A", "B", address(0), MINTER, address(0), 0, 0, bytes32(0)));
    }

    function test_Constructor_RefusesTextsOfWrongLength() public {
        string memory long = "thirty-two bytes are one too man";
        string[4] memory names = ["", long, "A", "A"];
        string[4] memory symbols = ["B", "B", "", long];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidArgument.selector));
            this.deployExternal(abi.encode(names[i], symbols[i], OWNER, MINTER, address(0), 0, 0, bytes32(0)));
        }
    }

    function testFuzz_Constructor_MaxSupply(uint256 maxSupply) public {
        if (maxSupply > MAX_TOKEN_IDS) vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidArgument.selector));
        bytes memory arguments = abi.encode("A", "B", OWNER, MINTER, address(0), 0, maxSupply, bytes32(0));
        ICollection fresh = this.deployExternal(arguments);
        if (maxSupply <= MAX_TOKEN_IDS) vm.assertEq(fresh.maxSupply(), maxSupply, "maximum supply");
    }

    function test_Constructor_TakesTheLargestMaxSupply() public {
        vm.assertEq(deploy(MAX_TOKEN_IDS).maxSupply(), MAX_TOKEN_IDS, "maximum supply");
    }

    function testFuzz_Constructor_Royalty(address receiver, uint96 basisPoints) public {
        basisPoints = basisPoints % 2 == 0 ? uint96(bound(basisPoints, 0, 10_001)) : basisPoints;
        bool valid = basisPoints <= 10_000 && (basisPoints == 0 || receiver != address(0));
        if (!valid) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.ERC2981InvalidRoyalty.selector, receiver, basisPoints));
        }
        this.deployExternal(abi.encode("A", "B", OWNER, MINTER, receiver, basisPoints, 0, bytes32(0)));
    }

    function test_Constructor_TakesTheWholePriceAsRoyaltyAndNoMore() public {
        ICollection fresh = deployWith(abi.encode("A", "B", OWNER, MINTER, ALICE, 10_000, 0, bytes32(0)));
        (, uint256 amount) = fresh.royaltyInfo(1, 77);
        vm.assertEq(amount, 77, "amount");
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC2981InvalidRoyalty.selector, ALICE, 10_001));
        this.deployExternal(abi.encode("A", "B", OWNER, MINTER, ALICE, 10_001, 0, bytes32(0)));
    }

    function test_Constructor_RefusesARoyaltyForNobody() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC2981InvalidRoyalty.selector, address(0), 1));
        this.deployExternal(abi.encode("A", "B", OWNER, MINTER, address(0), 1, 0, bytes32(0)));
    }

    // ───────────────────────────── mintBatch ───────────────────────────────────

    function test_MintBatch_GivesEveryTokenToTheRecipient() public {
        mint(collection, ALICE, 50);
        vm.assertEq(collection.totalSupply(), 50, "supply");
        vm.assertEq(collection.nextTokenId(), 51, "next token id");
        vm.assertEq(collection.balanceOf(ALICE), 50, "balance");
        for (uint256 tokenId = 1; tokenId <= 50; ++tokenId) {
            vm.assertEq(collection.ownerOf(tokenId), ALICE, "owner");
        }
    }

    function testFuzz_MintBatch_EmitsOneTransferPerToken(uint256 before, uint256 quantity, address to) public {
        (before, quantity, to) = (bound(before, 1, 100), bound(quantity, 1, 100), nonZero(to));
        mint(collection, BOB, before);
        vm.recordLogs();
        uint256 start = mint(collection, to, quantity);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, quantity, "events");
        for (uint256 i = 0; i < quantity; ++i) {
            assertTransfer(logs[i], address(0), to, start + i);
        }
    }

    function testFuzz_MintBatch_BatchBoundaries(uint8[] memory sizes) public {
        uint256 batches = sizes.length > 12 ? 12 : sizes.length;
        for (uint256 i = 0; i < batches; ++i) {
            uint256 quantity = uint256(sizes[i]) + 1;
            uint256 start = mint(collection, address(uint160(1000 + i)), quantity);
            assertBatch(start, start, start + quantity - 1);
            assertBatch(start + quantity - 1, start, start + quantity - 1);
        }
        // Again, when later batches are there.
        uint256 first = 1;
        for (uint256 i = 0; i < batches; ++i) {
            uint256 last = first + uint256(sizes[i]);
            assertBatch(first, first, last);
            assertBatch(last, first, last);
            vm.assertEq(collection.ownerOf(first), address(uint160(1000 + i)), "owner of the first");
            vm.assertEq(collection.ownerOf(last), address(uint160(1000 + i)), "owner of the last");
            first = last + 1;
        }
        vm.assertEq(collection.totalSupply(), first - 1, "supply");
    }

    function test_MintBatch_TheMinterMay() public {
        vm.prank(MINTER);
        collection.mintBatch(1, ALICE, 3, DIGEST);
        vm.assertEq(collection.balanceOf(ALICE), 3, "balance");
    }

    function testFuzz_MintBatch_AStrangerMayNot(address stranger) public {
        vm.assume(stranger != OWNER && stranger != MINTER);
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, stranger));
        vm.prank(stranger);
        collection.mintBatch(1, ALICE, 1, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, stranger));
        vm.prank(stranger);
        collection.airdrop(1, addresses(ALICE, BOB, ALICE), DIGEST);
    }

    function test_MintBatch_WithoutAMinterOnlyTheOwnerMay() public {
        ICollection fresh = deployWith(abi.encode("A", "B", OWNER, address(0), address(0), 0, 0, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, MINTER));
        vm.prank(MINTER);
        fresh.mintBatch(1, ALICE, 1, DIGEST);
        mint(fresh, ALICE, 1);
    }

    function testFuzz_MintBatch_RefusesAnotherStart(uint256 start) public {
        mint(collection, ALICE, 7);
        vm.assume(start != 8);
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, start, 8));
        vm.prank(OWNER);
        collection.mintBatch(start, ALICE, 1, DIGEST);
    }

    function test_MintBatch_ARepeatedCallRevertsWhateverChangedSince() public {
        ICollection limited = deploy(5);
        vm.prank(OWNER);
        limited.mintBatch(1, ALICE, 5, DIGEST);
        vm.prank(OWNER);
        limited.close();
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 1, 6));
        vm.prank(OWNER);
        limited.mintBatch(1, ALICE, 5, DIGEST);
    }

    function testFuzz_MintBatch_Quantity(uint256 quantity) public {
        quantity = quantity % 2 == 0 ? quantity : bound(quantity, 9_990, 10_010);
        vm.assume(quantity == 0 || quantity > 10_000);
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidQuantity.selector, quantity));
        vm.prank(OWNER);
        collection.mintBatch(1, ALICE, quantity, DIGEST);
    }

    function test_MintBatch_TenThousandAtOnce() public {
        mint(collection, ALICE, 10_000);
        vm.assertEq(collection.ownerOf(10_000), ALICE, "owner of the last");
        assertMissing(10_001);
    }

    function test_MintBatch_RefusesQuantityZero() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidQuantity.selector, 0));
        vm.prank(OWNER);
        collection.mintBatch(1, ALICE, 0, DIGEST);
    }

    function test_MintBatch_RefusesTheZeroDigest() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidDigest.selector));
        vm.prank(OWNER);
        collection.mintBatch(1, ALICE, 1, 0);
    }

    function test_MintBatch_RefusesTheZeroAddress() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidReceiver.selector, address(0)));
        vm.prank(OWNER);
        collection.mintBatch(1, address(0), 1, DIGEST);
        vm.assertEq(collection.totalSupply(), 0, "supply");
    }

    function testFuzz_MintBatch_MaxSupply(uint256 maxSupply, uint256 minted, uint256 quantity) public {
        maxSupply = bound(maxSupply, 2, 300);
        minted = bound(minted, 1, maxSupply - 1);
        quantity = bound(quantity, 1, 400);
        ICollection limited = deploy(maxSupply);
        mint(limited, ALICE, minted);
        uint256 available = maxSupply - minted;
        if (quantity > available) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.MaxSupplyExceeded.selector, quantity, available));
        }
        vm.prank(OWNER);
        limited.mintBatch(minted + 1, BOB, quantity, DIGEST);
        vm.assertEq(limited.totalSupply(), quantity > available ? minted : minted + quantity, "supply");
    }

    /// @dev The last token id of all is 2^48 - 1: the supply is written into the state directly.
    function testFuzz_MintBatch_EndsWithTheTokenIds(uint256 left, uint256 quantity, bool stated) public {
        (left, quantity) = (bound(left, 0, 20), bound(quantity, 1, 40));
        ICollection full = deploy(stated ? MAX_TOKEN_IDS : UNLIMITED);
        uint256 supply = MAX_TOKEN_IDS - left;
        uint256 state = uint256(vm.load(address(full), 0));
        vm.store(address(full), 0, bytes32(state | supply << 160));
        if (quantity > left) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.MaxSupplyExceeded.selector, quantity, left));
        }
        vm.prank(OWNER);
        full.mintBatch(supply + 1, ALICE, quantity, DIGEST);
        if (quantity <= left) {
            vm.assertEq(full.totalSupply(), supply + quantity, "supply");
            vm.assertEq(full.nextTokenId(), supply + quantity + 1, "next token id");
            vm.assertEq(full.ownerOf(supply + quantity), ALICE, "owner of the last");
            vm.assertEq(full.owner(), OWNER, "neighbours in the slot");
            vm.assertEq(full.closed() || full.frozen(), false, "neighbours in the slot");
        }
    }

    /// @dev 2^32 - 1 batches are the last that can be counted: one more reverts and does not wrap.
    function test_MintBatch_TheBatchCountDoesNotWrap() public {
        mint(collection, ALICE, 1);
        uint256 state = uint256(vm.load(address(collection), 0));
        vm.store(address(collection), 0, bytes32(state | uint256(type(uint32).max) << 208));
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        vm.prank(OWNER);
        collection.mintBatch(2, ALICE, 1, DIGEST);
    }

    // ───────────────────────────── airdrop ─────────────────────────────────────

    function testFuzz_Airdrop_GivesEachItsToken(uint256 before, address[] memory to) public {
        vm.assume(to.length != 0);
        for (uint256 i = 0; i < to.length; ++i) {
            to[i] = nonZero(to[i]);
        }
        mint(collection, BOB, bound(before, 1, 20));
        vm.recordLogs();
        uint256 start = drop(collection, to);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, to.length, "events");
        for (uint256 i = 0; i < to.length; ++i) {
            assertTransfer(logs[i], address(0), to[i], start + i);
            vm.assertEq(collection.ownerOf(start + i), to[i], "owner");
        }
        assertBatch(start, start, start + to.length - 1);
        assertMissing(start + to.length);
    }

    function test_Airdrop_TheSameRecipientTwice() public {
        drop(collection, addresses(ALICE, BOB, ALICE));
        vm.assertEq(collection.balanceOf(ALICE), 2, "balance");
        vm.assertEq(collection.balanceOf(BOB), 1, "balance");
    }

    function testFuzz_Airdrop_RefusesTheZeroAddress(uint256 place) public {
        address[] memory to = addresses(ALICE, BOB, MINTER);
        to[bound(place, 0, 2)] = address(0);
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidReceiver.selector, address(0)));
        vm.prank(OWNER);
        collection.airdrop(1, to, DIGEST);
        vm.assertEq(collection.totalSupply() + collection.balanceOf(ALICE), 0, "nothing was minted");
    }

    function test_Airdrop_RefusesAnEmptyList() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidQuantity.selector, 0));
        vm.prank(OWNER);
        collection.airdrop(1, new address[](0), DIGEST);
    }

    function test_Airdrop_RefusesMoreThanTenThousand() public {
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidQuantity.selector, 10_001));
        vm.prank(OWNER);
        collection.airdrop(1, new address[](10_001), DIGEST);
    }

    function test_Airdrop_ChecksStartDigestAndMaxSupply() public {
        ICollection limited = deploy(2);
        address[] memory to = addresses(ALICE, BOB, ALICE);
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 2, 1));
        vm.prank(MINTER);
        limited.airdrop(2, to, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(ICollection.InvalidDigest.selector));
        vm.prank(MINTER);
        limited.airdrop(1, to, 0);
        vm.expectRevert(abi.encodeWithSelector(ICollection.MaxSupplyExceeded.selector, 3, 2));
        vm.prank(MINTER);
        limited.airdrop(1, to, DIGEST);
    }

    // ───────────────────────────── Which tokens there are ──────────────────────

    function testFuzz_AMissingTokenHasNothing(uint256 minted, uint256 tokenId) public {
        minted = bound(minted, 1, 100);
        mint(collection, ALICE, minted);
        vm.assume(tokenId == 0 || tokenId > minted);
        assertMissing(tokenId);
        assertMissing(0);
        assertMissing(minted + 1);
        assertMissing(type(uint256).max);
    }

    function test_BeforeTheFirstMintThereIsNoToken() public {
        assertMissing(0);
        assertMissing(1);
    }

    function testFuzz_ContractsReceiveByMintWithoutBeingCalled(bytes memory code) public {
        vm.assume(code.length != 0);
        mint(collection, address(this), 2); // this contract has no onERC721Received
        vm.assertEq(collection.ownerOf(2), address(this), "owner");
    }

    // ───────────────────────────── close ───────────────────────────────────────

    function test_Close_EndsMintingForEver() public {
        mint(collection, ALICE, 2);
        vm.expectEmit(address(collection));
        emit ICollection.MintingClosed();
        vm.prank(OWNER);
        collection.close();
        vm.assertTrue(collection.closed(), "closed");

        vm.expectRevert(abi.encodeWithSelector(ICollection.MintingIsClosed.selector));
        vm.prank(OWNER);
        collection.mintBatch(3, ALICE, 1, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(ICollection.MintingIsClosed.selector));
        vm.prank(MINTER);
        collection.airdrop(3, addresses(ALICE, BOB, ALICE), DIGEST);
        vm.expectRevert(abi.encodeWithSelector(ICollection.MintingIsClosed.selector));
        vm.prank(OWNER);
        collection.close();
    }

    function test_Close_LeavesTheRestAsItWas() public {
        mint(collection, ALICE, 2);
        vm.prank(OWNER);
        collection.close();
        vm.assertEq(collection.frozen(), false, "frozen");
        vm.assertEq(collection.totalSupply(), 2, "supply");
        vm.prank(ALICE);
        collection.transferFrom(ALICE, BOB, 1);
        vm.prank(OWNER);
        collection.setBatchCid(1, DIGEST);
    }

    // ───────────────────────────── Helpers ─────────────────────────────────────

    /// @dev For vm.expectRevert, which looks at the next call.
    function deployExternal(bytes memory arguments) external returns (ICollection) {
        return deployWith(arguments);
    }

    function assertTransfer(Vm.Log memory log, address from, address to, uint256 tokenId) private pure {
        vm.assertEq(log.topics.length, 4, "topics");
        vm.assertEq(log.topics[0], keccak256("Transfer(address,address,uint256)"), "event");
        vm.assertEq(log.topics[1], bytes32(uint256(uint160(from))), "from");
        vm.assertEq(log.topics[2], bytes32(uint256(uint160(to))), "to");
        vm.assertEq(log.topics[3], bytes32(tokenId), "token id");
        vm.assertEq(log.data.length, 0, "data");
    }

    function assertBatch(uint256 tokenId, uint256 start, uint256 end) private view {
        (uint256 gotStart, uint256 gotEnd, bytes32 digest) = collection.batchOf(tokenId);
        vm.assertEq(gotStart, start, "start");
        vm.assertEq(gotEnd, end, "end");
        vm.assertEq(digest, keccak256(abi.encode(start)), "digest");
    }

    function assertMissing(uint256 tokenId) private {
        bytes memory reason = abi.encodeWithSelector(ICollection.ERC721NonexistentToken.selector, tokenId);
        vm.expectRevert(reason);
        collection.ownerOf(tokenId);
        vm.expectRevert(reason);
        collection.getApproved(tokenId);
        vm.expectRevert(reason);
        collection.tokenURI(tokenId);
        vm.expectRevert(reason);
        collection.batchOf(tokenId);
        vm.expectRevert(reason);
        collection.approve(ALICE, tokenId);
        vm.expectRevert(reason);
        collection.transferFrom(ALICE, BOB, tokenId);
        vm.expectRevert(reason);
        vm.prank(OWNER);
        collection.setBatchCid(tokenId, DIGEST);
    }
}
