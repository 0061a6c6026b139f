// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {ICollectionV2, Licence, Terms} from "contracts/ICollectionV2.sol";
import {Vm} from "./Test.sol";
import {OnV2} from "./V2.sol";

/// @title  A validator that forbids one account to move tokens.
contract Validator {
    address private immutable _forbidden;

    constructor(address forbidden) {
        _forbidden = forbidden;
    }

    function validateTransfer(address caller, address, address, uint256) external view {
        require(caller != _forbidden, "forbidden");
    }
}

/// @title  Lots: opening, selling, closing, publishing; and what else the second contract has.
contract LotsTest is OnV2 {
    address private constant SELLER = address(0x5E11E4);
    address private constant PUBLISHER = address(0x9B115);
    bytes32 private constant ART = keccak256("the art");

    ICollectionV2 private collection;

    function setUp() public {
        collection = makeOf(someTerms());
        vm.prank(OWNER);
        collection.setPublisher(PUBLISHER);
    }

    // ───────────────────────────── Opening and selling ─────────────────────────

    function testFuzz_Mint_GivesTheNextIdsOfTheLot(uint256 before, address to, uint8[] memory sizes) public {
        to = nonZero(to);
        before = bound(before, 0, 30);
        if (before != 0) mint(collection, ALICE, before);
        openLot(collection, 10_000, SELLER, false);
        uint256 next = before + 1;
        for (uint256 i = 0; i < sizes.length && i < 8; ++i) {
            if (sizes[i] == 0) continue;
            vm.prank(SELLER);
            vm.assertEq(collection.mint(to, sizes[i]), next, "first id");
            vm.assertEq(collection.ownerOf(next), to, "owner of the first");
            next += sizes[i];
            vm.assertEq(collection.ownerOf(next - 1), to, "owner of the last");
        }
        vm.assertEq(collection.totalSupply(), next - 1, "supply");
        vm.assertEq(collection.balanceOf(to), next - before - 1 + (to == ALICE ? before : 0), "balance");
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721NonexistentToken.selector, next));
        collection.ownerOf(next);
    }

    function test_Mint_EmitsOneTransferPerToken() public {
        openLot(collection, 5, SELLER, false);
        vm.recordLogs();
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2, "events");
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertEq(logs[i].topics[0], ICollection.Transfer.selector, "event");
            vm.assertEq(logs[i].topics[1], 0, "from");
            vm.assertEq(logs[i].topics[2], bytes32(uint256(uint160(BOB))), "to");
            vm.assertEq(logs[i].topics[3], bytes32(i + 1), "id");
        }
    }

    function testFuzz_Mint_NeverBeyondTheLot(uint256 size, uint256 sold, uint256 quantity) public {
        (size, sold, quantity) = (bound(size, 1, 50), bound(sold, 0, 49), bound(quantity, 0, 60));
        sold = sold >= size ? size - 1 : sold;
        openLot(collection, size, SELLER, false);
        if (sold != 0) {
            vm.prank(SELLER);
            collection.mint(ALICE, sold);
        }
        bool fits = quantity != 0 && quantity <= size - sold;
        if (!fits) vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotExceeded.selector, quantity, size - sold));
        vm.prank(SELLER);
        collection.mint(BOB, quantity);
        vm.assertEq(collection.totalSupply(), fits ? sold + quantity : sold, "supply");
    }

    function test_Mint_TheSellerMinterAndOwnerMayAndAStrangerMayNot() public {
        openLot(collection, 5, SELLER, false);
        address[] memory allowed = addresses(SELLER, MINTER, OWNER);
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(allowed[i]);
            collection.mint(ALICE, 1);
        }
        address[] memory refused = addresses(STRANGER, PUBLISHER, ALICE);
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, refused[i]));
            vm.prank(refused[i]);
            collection.mint(ALICE, 1);
        }
    }

    function test_Mint_RefusesTheZeroAddress() public {
        openLot(collection, 5, SELLER, false);
        vm.expectRevert(abi.encodeWithSelector(ICollection.ERC721InvalidReceiver.selector, address(0)));
        vm.prank(SELLER);
        collection.mint(address(0), 1);
    }

    function test_Mint_WithoutALotThereIsNothing() public {
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotExceeded.selector, 1, 0));
        vm.prank(OWNER);
        collection.mint(ALICE, 1);
    }

    function test_TheSellerMayMintAndNothingElse() public {
        openLot(collection, 5, SELLER, true);
        refuseAll(SELLER);
    }

    function test_ThePublisherMayPublishAndNothingElse() public {
        openLot(collection, 5, SELLER, true);
        refuseAll(PUBLISHER);
    }

    function refuseAll(address account) private {
        bytes[8] memory calls = [
            abi.encodeCall(ICollection.mintBatch, (1, account, 1, DIGEST)),
            abi.encodeCall(ICollectionV2.openLot, (1, 1, DIGEST, account, false, "")),
            abi.encodeCall(ICollectionV2.closeLot, ()),
            abi.encodeCall(ICollectionV2.setSeller, (account)),
            abi.encodeCall(ICollectionV2.setPublisher, (account)),
            abi.encodeCall(ICollectionV2.setTransferValidator, (account)),
            abi.encodeCall(ICollection.setBatchCid, (1, DIGEST)),
            abi.encodeCall(ICollection.freeze, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(account);
            (bool allowed,) = address(collection).call(calls[i]);
            vm.assertEq(allowed, false, "allowed");
        }
    }

    function test_OpenLot_TellsWhatIsForSale() public {
        mint(collection, ALICE, 3);
        vm.expectEmit(address(collection));
        emit ICollectionV2.LotOpened(4, 13, DIGEST, SELLER, true, ART);
        vm.prank(OWNER);
        collection.openLot(4, 10, DIGEST, SELLER, true, ART);
        requireLot(SELLER, 13, 3, true);
        vm.prank(SELLER);
        collection.mint(BOB, 1);
        (uint256 start, uint256 end, bytes32 digest) = collection.batchOf(4);
        vm.assertEq(start, 4, "start");
        vm.assertEq(end, 13, "an open lot's batch ends where the lot does");
        vm.assertEq(digest, DIGEST, "digest");
    }

    function test_OpenLot_ChecksStartDigestQuantityAndMaxSupply() public {
        Terms memory terms = someTerms();
        terms.maxSupply = 10;
        collection = makeOf(terms);
        bytes[4] memory reasons = [
            abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 2, 1),
            abi.encodeWithSelector(ICollection.InvalidDigest.selector),
            abi.encodeWithSelector(ICollection.InvalidQuantity.selector, 0),
            abi.encodeWithSelector(ICollection.MaxSupplyExceeded.selector, 11, 10)
        ];
        uint256[3][4] memory calls =
            [[uint256(2), 1, 1], [uint256(1), 1, 0], [uint256(1), 0, 1], [uint256(1), 11, 1]];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(reasons[i]);
            vm.prank(OWNER);
            collection.openLot(calls[i][0], calls[i][1], bytes32(calls[i][2]), SELLER, false, "");
        }
    }

    function test_WhileALotIsOpenNothingElseIsMinted() public {
        openLot(collection, 5, SELLER, false);
        uint256 start = collection.nextTokenId();
        bytes[3] memory calls = [
            abi.encodeCall(ICollection.mintBatch, (start, ALICE, 1, DIGEST)),
            abi.encodeCall(ICollection.airdrop, (start, addresses(ALICE, BOB, ALICE), DIGEST)),
            abi.encodeCall(ICollectionV2.openLot, (start, 1, DIGEST, SELLER, false, ""))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotIsPending.selector));
            vm.prank(OWNER);
            (bool allowed,) = address(collection).call(calls[i]);
            allowed;
        }
    }

    function test_SetSeller_StopsOneAndLetsAnother() public {
        openLot(collection, 5, SELLER, false);
        vm.prank(OWNER);
        collection.setSeller(BOB);
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, SELLER));
        vm.prank(SELLER);
        collection.mint(ALICE, 1);
        vm.prank(BOB);
        collection.mint(ALICE, 5);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.NoOpenLot.selector));
        vm.prank(OWNER);
        collection.setSeller(SELLER);
    }

    // ───────────────────────────── Closing ─────────────────────────────────────

    function testFuzz_CloseLot_EndsAtTheLastSoldToken(uint256 before, uint256 size, uint256 sold, bool placeholder)
        public
    {
        (before, size, sold) = (bound(before, 0, 5), bound(size, 2, 40), bound(sold, 0, 38));
        sold = sold >= size ? size - 1 : sold;
        if (before != 0) mint(collection, ALICE, before);
        openLot(collection, size, SELLER, placeholder);
        if (sold != 0) {
            vm.prank(SELLER);
            collection.mint(BOB, sold);
        }
        vm.expectEmit(address(collection));
        emit ICollectionV2.LotClosed(before + sold);
        vm.prank(OWNER);
        collection.closeLot();
        requireLot(address(0), before + sold, placeholder ? before : before + sold, false);
        if (placeholder && sold != 0) {
            vm.prank(PUBLISHER);
            collection.publish(before + 1, before + sold, ART);
        }
        uint256 start = mint(collection, ALICE, 2);
        vm.assertEq(start, before + sold + 1, "no gap");
        vm.assertEq(collection.ownerOf(start), ALICE, "the ids that were not sold are free again");
        uint256 expected = 1;
        while (expected < start + 2) {
            (uint256 first, uint256 last,) = collection.batchOf(expected);
            vm.assertEq(first, expected, "batches without a gap");
            vm.assertTrue(last >= first && last < start + 2, "batches end where tokens do");
            expected = last + 1;
        }
    }

    function test_ASoldOutLotIsClosed() public {
        openLot(collection, 2, SELLER, false);
        vm.expectEmit(address(collection));
        emit ICollectionV2.LotClosed(2);
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.NoOpenLot.selector));
        vm.prank(OWNER);
        collection.closeLot();
        mint(collection, ALICE, 1);
        openLot(collection, 2, SELLER, false);
        requireLot(SELLER, 5, 5, true);
    }

    function test_Close_EndsTheLotToo() public {
        openLot(collection, 5, SELLER, true);
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        vm.prank(OWNER);
        collection.close();
        vm.expectRevert(abi.encodeWithSelector(ICollection.UnauthorizedMinter.selector, SELLER));
        vm.prank(SELLER);
        collection.mint(BOB, 1);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotExceeded.selector, 1, 0));
        vm.prank(OWNER);
        collection.mint(BOB, 1);
        vm.prank(PUBLISHER);
        collection.publish(1, 2, ART);
        vm.assertTrue(collection.closed(), "publishing opens nothing");
        vm.expectRevert(abi.encodeWithSelector(ICollection.MintingIsClosed.selector));
        vm.prank(OWNER);
        collection.openLot(3, 1, DIGEST, SELLER, false, "");
    }

    // ───────────────────────────── Publishing ──────────────────────────────────

    /// @dev In pieces, while the sale goes on: each token has the placeholder until it has its own, and for ever then.
    function testFuzz_Publish_GivesEachSoldTokenItsMetadataOnce(uint256 seed) public {
        mint(collection, ALICE, 3);
        openLot(collection, 40, SELLER, true);
        (uint256 sold, uint256 published) = (3, 3);
        bytes32[44] memory expected;
        for (uint256 i = 0; i < 12; ++i) {
            uint256 chance = uint256(keccak256(abi.encode(seed, i)));
            if (chance % 2 == 0 && sold < 43) {
                uint256 quantity = bound(chance >> 8, 1, 43 - sold);
                vm.prank(SELLER);
                collection.mint(BOB, quantity);
                sold += quantity;
            } else if (published < sold) {
                uint256 end = bound(chance >> 8, published + 1, sold);
                vm.expectEmit(address(collection));
                emit ICollection.BatchMetadataUpdate(published + 1, end);
                vm.prank(PUBLISHER);
                collection.publish(published + 1, end, bytes32(chance));
                for (; published < end; ++published) {
                    expected[published + 1] = bytes32(chance);
                }
            }
            for (uint256 id = 4; id <= sold; ++id) {
                (,, bytes32 digest) = collection.batchOf(id);
                vm.assertEq(digest, id <= published ? expected[id] : DIGEST, "digest");
            }
        }
        (,, uint256 last, bool open) = collection.lot();
        vm.assertEq(last, published, "published");
        vm.assertEq(open, sold < 43, "open");
    }

    function test_Publish_RefusesWhatIsNotSoldNotNextOrDoneBefore() public {
        openLot(collection, 5, SELLER, true);
        vm.prank(SELLER);
        collection.mint(BOB, 3);
        expectPublish(abi.encodeWithSelector(ICollectionV2.NothingToPublish.selector, 4, 3), 1, 4, ART);
        expectPublish(abi.encodeWithSelector(ICollectionV2.NothingToPublish.selector, 0, 3), 1, 0, ART);
        expectPublish(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 2, 1), 2, 3, ART);
        expectPublish(abi.encodeWithSelector(ICollection.InvalidDigest.selector), 1, 3, 0);
        vm.prank(PUBLISHER);
        collection.publish(1, 3, ART);
        expectPublish(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 1, 4), 1, 3, ART);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.UnauthorizedPublisher.selector, STRANGER));
        vm.prank(STRANGER);
        collection.publish(4, 4, ART);
    }

    function test_Publish_EndsWithTheLot() public {
        openLot(collection, 3, SELLER, true);
        vm.prank(SELLER);
        collection.mint(BOB, 3);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotIsPending.selector));
        vm.prank(OWNER);
        collection.mintBatch(4, ALICE, 1, DIGEST);
        vm.prank(OWNER);
        collection.publish(1, 3, ART);
        mint(collection, ALICE, 3);
        expectPublish(abi.encodeWithSelector(ICollectionV2.NothingToPublish.selector, 6, 3), 4, 6, ART);
    }

    function test_Publish_ALotThatShowsItsArtHasNothingForAPublisher() public {
        openLot(collection, 3, SELLER, false);
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        expectPublish(abi.encodeWithSelector(ICollection.UnexpectedStart.selector, 1, 4), 1, 2, ART);
        expectPublish(abi.encodeWithSelector(ICollectionV2.NothingToPublish.selector, 4, 2), 4, 4, ART);
    }

    function expectPublish(bytes memory reason, uint256 start, uint256 end, bytes32 digest) private {
        vm.expectRevert(reason);
        vm.prank(PUBLISHER);
        collection.publish(start, end, digest);
    }

    function test_Freeze_WaitsForTheLastPlaceholder() public {
        openLot(collection, 3, SELLER, true);
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        vm.prank(PUBLISHER);
        collection.publish(1, 2, ART);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.TokensAreUnpublished.selector, 2));
        vm.prank(OWNER);
        collection.freeze();
        vm.prank(OWNER);
        collection.closeLot();
        vm.prank(OWNER);
        collection.freeze();
        vm.expectRevert(abi.encodeWithSelector(ICollection.MetadataIsFrozen.selector));
        vm.prank(OWNER);
        collection.openLot(3, 3, DIGEST, SELLER, true, "");
        openLot(collection, 3, SELLER, false); // its art is known
    }

    function requireLot(address seller, uint256 end, uint256 published, bool open) private view {
        (address seller_, uint256 end_, uint256 published_, bool open_) = collection.lot();
        vm.assertEq(seller_, seller, "seller");
        vm.assertEq(end_, end, "end");
        vm.assertEq(published_, published, "published");
        vm.assertEq(open_, open, "open");
    }

    // ───────────────────────────── Transfers, validation, licence ──────────────

    function test_ASoldTokenMovesLikeEveryOther() public {
        openLot(collection, 3, SELLER, false);
        vm.prank(SELLER);
        collection.mint(BOB, 2);
        vm.prank(BOB);
        collection.safeTransferFrom(BOB, ALICE, 2);
        vm.assertEq(collection.ownerOf(1), BOB, "owner");
        vm.assertEq(collection.ownerOf(2), ALICE, "new owner");
    }

    function test_Validation_TheValidatorMayRefuse() public {
        Terms memory terms = someTerms();
        terms.validated = true;
        terms.transferValidator = address(new Validator(STRANGER));
        collection = makeOf(terms);
        vm.assertEq(collection.getTransferValidator(), terms.transferValidator, "validator");
        mint(collection, ALICE, 2);
        vm.prank(ALICE);
        collection.setApprovalForAll(STRANGER, true);
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "forbidden"));
        vm.prank(STRANGER);
        collection.transferFrom(ALICE, BOB, 1);
        vm.prank(ALICE);
        collection.transferFrom(ALICE, BOB, 1);
        vm.expectEmit(address(collection));
        emit ICollectionV2.TransferValidatorUpdated(terms.transferValidator, address(0));
        vm.prank(OWNER);
        collection.setTransferValidator(address(0));
        vm.prank(STRANGER);
        collection.transferFrom(ALICE, BOB, 2);
        (bytes4 selector, bool isView) = collection.getTransferValidationFunction();
        vm.assertEq(bytes32(selector), bytes32(Validator.validateTransfer.selector), "function");
        vm.assertTrue(isView, "view");
        vm.assertTrue(collection.supportsInterface(0xad0d7f6c), "ERC-721-C");
    }

    function test_Validation_NotWithoutTheOption() public {
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.NotValidated.selector));
        vm.prank(OWNER);
        collection.setTransferValidator(BOB);
        vm.assertEq(collection.supportsInterface(0xad0d7f6c), false, "ERC-721-C");
    }

    function test_Licence_IsTheOneThatWasChosen() public {
        string[7] memory names =
            ["", "PUBLIC", "EXCLUSIVE", "COMMERCIAL", "COMMERCIAL_NO_HATE", "PERSONAL", "PERSONAL_NO_HATE"];
        bytes4 id = ICollectionV2.getLicenseURI.selector ^ ICollectionV2.getLicenseName.selector;
        for (uint256 i = 0; i < 7; ++i) {
            Terms memory terms = someTerms();
            terms.licence = Licence(i);
            collection = makeOf(terms);
            vm.assertEq(collection.getLicenseName(), names[i], "name");
            string memory uri = i == 0
                ? ""
                : string.concat("ar://zmc1WTspIhFyVY82bwfAIcIExLFH5lUcHHUN0wXg4W8/", vm.toString(i - 1));
            vm.assertEq(collection.getLicenseURI(), uri, "URI");
            vm.assertEq(collection.supportsInterface(id), i != 0, "interface");
        }
    }

    function test_ItSaysWhatItIs() public view {
        vm.assertEq(collection.version(), 2, "version");
        vm.assertTrue(collection.supportsInterface(type(ICollectionV2).interfaceId), "interface");
        vm.assertEq(collection.publisher(), PUBLISHER, "publisher");
    }
}
