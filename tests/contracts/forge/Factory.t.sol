// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {ICollectionV2, Terms} from "contracts/ICollectionV2.sol";
import {FirstBatch, IFactory, Payee} from "contracts/IFactory.sol";
import {IDrop, Kind, Stage} from "contracts/IDrop.sol";
import {OnV2} from "./V2.sol";

/// @title  Making collections and drops, and that what they are made of is nobody's.
contract FactoryTest is OnV2 {
    FirstBatch private none;

    function payees(uint16 first, uint16 second) private pure returns (Payee[] memory list) {
        list = new Payee[](2);
        (list[0], list[1]) = (Payee(ALICE, first), Payee(BOB, second));
    }

    function testFuzz_ACollectionIsWhereItWasPlanned(bytes32 salt, bool whole, address by) public {
        Terms memory terms = someTerms();
        address planned = factory.collectionAddress(terms, by, salt, whole);
        vm.prank(by);
        address made = factory.makeCollection(terms, salt, whole, none);
        vm.assertEq(made, planned, "address");
        vm.assertEq(ICollection(made).owner(), OWNER, "owner");
        vm.assertTrue(factory.collectionAddress(terms, STRANGER, salt, whole) != planned || by == STRANGER, "another's");
        vm.expectRevert();
        vm.prank(by);
        factory.makeCollection(terms, salt, whole, none);
    }

    function testFuzz_ADropIsWhereItWasPlanned(bytes32 salt, bool whole, address by) public {
        address planned = factory.dropAddress(OWNER, ALICE, payees(1, 9_999), by, salt, whole);
        vm.prank(by);
        address made = factory.makeDrop(OWNER, ALICE, payees(1, 9_999), salt, whole);
        vm.assertEq(made, planned, "address");
        vm.assertEq(IDrop(made).owner(), OWNER, "owner");
        vm.assertEq(IDrop(made).collection(), ALICE, "collection");
        (address[] memory accounts, uint256[] memory shares) = IDrop(made).payees();
        vm.assertEq(accounts.length, 2, "payees");
        vm.assertTrue(accounts[0] == ALICE && accounts[1] == BOB && shares[0] == 1 && shares[1] == 9_999, "shares");
    }

    function test_ACopyIsTheSameAsAProxy() public {
        Terms memory terms = someTerms();
        ICollectionV2 whole = ICollectionV2(factory.makeCollection(terms, "", true, none));
        vm.assertEq(whole.name(), "Some art", "name");
        vm.assertEq(whole.symbol(), "ART", "symbol");
        vm.assertEq(whole.minter(), MINTER, "minter");
        vm.assertEq(whole.contractURI(), makeOf(terms).contractURI(), "contract URI");
        (address receiver, uint256 amount) = whole.royaltyInfo(1, 10_000);
        vm.assertTrue(receiver == ROYALTY_RECEIVER && amount == 500, "royalty");
        mint(whole, ALICE, 3);
        vm.prank(ALICE);
        whole.transferFrom(ALICE, BOB, 2);
        vm.assertEq(whole.ownerOf(2), BOB, "owner");
    }

    function test_TheFirstBatchIsMintedWithTheCollection() public {
        ICollection made =
            ICollection(factory.makeCollection(someTerms(), "", false, FirstBatch(ALICE, 50, keccak256("first"))));
        vm.assertEq(made.totalSupply(), 50, "supply");
        vm.assertEq(made.ownerOf(50), ALICE, "owner");
        vm.assertEq(mint(made, BOB, 1), 51, "next");
    }

    function test_NobodyOwnsTheImplementations() public {
        ICollectionV2 collection = ICollectionV2(factory.collectionCode());
        vm.assertEq(collection.owner(), address(0), "owner");
        vm.assertEq(collection.minter(), address(0), "minter");
        vm.assertTrue(collection.closed() && collection.frozen(), "closed and frozen");
        address[3] memory all = [STRANGER, OWNER, address(this)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICollectionV2.UnauthorizedFactory.selector, all[i]));
            vm.prank(all[i]);
            collection.initialize(all[i], address(0), all[i], 0, 0);
        }
        IDrop drop = IDrop(factory.dropCode());
        vm.assertEq(drop.owner(), address(0), "owner");
        vm.assertTrue(drop.closed(), "closed");
        vm.expectRevert(abi.encodeWithSelector(IDrop.UnauthorizedFactory.selector, STRANGER));
        vm.prank(STRANGER);
        drop.initialize(STRANGER);
    }

    function test_NothingIsInitialisedTwice() public {
        ICollectionV2 collection = makeOf(someTerms());
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.UnauthorizedFactory.selector, factory));
        vm.prank(address(factory));
        collection.initialize(STRANGER, address(0), STRANGER, 1, DIGEST);
        IDrop drop = makeDropOf(collection, payees(1, 9_999));
        vm.expectRevert(abi.encodeWithSelector(IDrop.UnauthorizedFactory.selector, factory));
        vm.prank(address(factory));
        drop.initialize(STRANGER);
    }

    /// @dev A proxy that somebody else puts over our code is nobody's and stays so.
    function test_AProxyOfSomebodyElseIsNobodys() public {
        bytes memory code = bytes.concat(
            hex"363d3d373d3d3d363d73", bytes20(factory.collectionCode()), hex"5af43d82803e903d91602b57fd5bf3", new bytes(90)
        );
        vm.etch(BOB, code);
        ICollectionV2 foreign = ICollectionV2(BOB);
        vm.assertEq(foreign.owner(), address(0), "owner");
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.UnauthorizedFactory.selector, STRANGER));
        vm.prank(STRANGER);
        foreign.initialize(STRANGER, address(0), STRANGER, 1, DIGEST);
    }

    function test_AValidatorNeedsTheOption() public {
        Terms memory terms = someTerms();
        terms.transferValidator = BOB;
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.NotValidated.selector));
        factory.makeCollection(terms, "", false, none);
    }

    function test_MakeDrop_RefusesSharesThatAreNotAWhole() public {
        bytes memory refused = abi.encodeWithSelector(IFactory.InvalidArgument.selector);
        Payee[][5] memory wrong =
            [payees(5_000, 5_001), payees(0, 10_000), payees(1, 9_998), new Payee[](0), new Payee[](17)];
        for (uint256 i = 0; i < 17; ++i) {
            wrong[4][i] = Payee(ALICE, i == 0 ? 9_984 : 1);
        }
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectRevert(refused);
            factory.makeDrop(OWNER, ALICE, wrong[i], "", false);
        }
        Payee[] memory nobody = payees(1, 9_999);
        nobody[0].account = address(0);
        vm.expectRevert(refused);
        factory.makeDrop(OWNER, ALICE, nobody, "", false);
        vm.expectRevert(abi.encodeWithSelector(ICollection.OwnableInvalidOwner.selector, address(0)));
        factory.makeDrop(address(0), ALICE, payees(1, 9_999), "", false);
    }

    function test_MakeDrop_SixteenPayees() public {
        Payee[] memory list = new Payee[](16);
        for (uint256 i = 0; i < 16; ++i) {
            list[i] = Payee(address(uint160(100 + i)), 625);
        }
        (address[] memory accounts, uint256[] memory shares) =
            IDrop(factory.makeDrop(OWNER, ALICE, list, "", false)).payees();
        for (uint256 i = 0; i < 16; ++i) {
            vm.assertTrue(accounts[i] == list[i].account && shares[i] == 625, "payee");
        }
    }
}
