// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollectionV2} from "contracts/ICollectionV2.sol";
import {Payee} from "contracts/IFactory.sol";
import {IDrop, Kind, Stage, Voucher} from "contracts/IDrop.sol";
import {OnV2} from "./V2.sol";

/// @title  An account that takes no money until it is told to, and that tries to take what it gets a second time.
contract Payable {
    bool public refuses = true;
    bool public secondFailed;
    bytes private _again;
    address private _target;

    function accept(address target, bytes calldata again) external {
        (refuses, _target, _again) = (false, target, again);
    }

    function forward(address target, bytes calldata call_) external payable returns (bool success) {
        (success,) = target.call{value: msg.value}(call_);
    }

    receive() external payable {
        require(!refuses, "no, thanks");
        if (_again.length == 0) return;
        (bool success,) = _target.call(_again);
        secondFailed = !success;
    }
}

/// @title  What delegate.xyz says: this delegate may act for everybody.
contract Delegates {
    address private immutable _delegate;

    constructor(address delegate) {
        _delegate = delegate;
    }

    function checkDelegateForContract(address to, address, address, bytes32) external view returns (bool) {
        return to == _delegate;
    }
}

/// @title  An account whose code says which signatures are its own (ERC-1271).
contract Signing {
    bytes32 private immutable _signature;

    constructor(bytes memory signature) {
        _signature = keccak256(signature);
    }

    function isValidSignature(bytes32, bytes calldata signature) external view returns (bytes4) {
        return keccak256(signature) == _signature ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @title  Stages, purchases and money of a drop.
contract DropTest is OnV2 {
    address internal constant ARTIST = address(0xA27157);
    address internal constant HELPER = address(0x4E19E4);
    uint256 internal constant SIGNER_KEY = 0x516;
    uint40 internal constant START = 1_000_000;
    uint40 internal constant END = 1_010_000;
    uint96 internal constant PRICE = 0.01 ether;

    ICollectionV2 internal collection;
    IDrop internal sale;

    function setUp() public virtual {
        vm.warp(START);
        collection = makeOf(someTerms());
        Payee[] memory payees = new Payee[](2);
        (payees[0], payees[1]) = (Payee(ARTIST, 9_000), Payee(HELPER, 1_000));
        sale = makeDropOf(collection, payees);
        openLot(collection, 1_000, address(sale), false);
        vm.deal(ALICE, 1_000 ether);
        vm.deal(BOB, 1_000 ether);
        vm.deal(STRANGER, 1_000 ether);
    }

    function stageOf(Kind kind) internal pure returns (Stage memory stage) {
        stage = Stage({
            kind: kind, start: START, end: END, price: 0, supply: 0, walletLimit: 0, sold: 0, key: 0
        });
        if (kind == Kind.Public || kind == Kind.Holder) stage.price = PRICE;
    }

    function add(Stage memory stage) internal {
        vm.prank(OWNER);
        sale.addStage(stage);
    }

    function addRefused(Stage memory stage, bytes memory reason) internal {
        vm.expectRevert(reason);
        vm.prank(OWNER);
        sale.addStage(stage);
    }

    function buy(address account, uint256 quantity, uint256 value) internal {
        vm.prank(account);
        sale.buy{value: value}(0, account, quantity);
    }

    // ───────────────────────────── Stages ──────────────────────────────────────

    function test_AddStage_RefusesTimesThatCannotBe() public {
        Stage memory stage = stageOf(Kind.Public);
        (stage.start, stage.end) = (END, END);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidTimes.selector, END, END));
        (stage.start, stage.end) = (END, START);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidTimes.selector, END, START));
        (stage.start, stage.end) = (START - 10, START);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidTimes.selector, START - 10, START));
        add(stageOf(Kind.Public));
        (stage.start, stage.end) = (END - 1, END + 1);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidTimes.selector, END - 1, END + 1));
        stage.start = END;
        add(stage);
        vm.assertEq(sale.stages().length, 2, "stages");
    }

    function test_AddStage_RefusesWhatDoesNotFitItsKind() public {
        Stage[14] memory wrong;
        for (uint256 i = 0; i < 14; ++i) {
            wrong[i] = stageOf(Kind.Auction);
            (wrong[i].price, wrong[i].supply, wrong[i].key) = (PRICE, 10, auctionKey(60, 1));
        }
        wrong[0].kind = Kind.None;
        wrong[1] = stageOf(Kind.Public);
        wrong[1].key = bytes32(uint256(1));
        wrong[2] = stageOf(Kind.Allowlist);
        wrong[3] = stageOf(Kind.Allowlist);
        (wrong[3].key, wrong[3].price) = (DIGEST, 1);
        wrong[4] = stageOf(Kind.Allowlist);
        (wrong[4].key, wrong[4].walletLimit) = (DIGEST, 1);
        wrong[5] = stageOf(Kind.Voucher);
        wrong[6] = stageOf(Kind.Voucher);
        wrong[6].key = DIGEST;
        wrong[7] = stageOf(Kind.Voucher);
        (wrong[7].key, wrong[7].price) = (bytes32(uint256(1)), 1);
        wrong[8] = stageOf(Kind.Holder);
        wrong[9] = stageOf(Kind.Holder);
        wrong[9].key = DIGEST;
        wrong[10].key = auctionKey(0, 1);
        wrong[11].key = auctionKey(60, PRICE + 1);
        wrong[12].supply = 0;
        wrong[13].sold = 1;
        for (uint256 i = 0; i < 14; ++i) {
            addRefused(wrong[i], abi.encodeWithSelector(IDrop.InvalidStage.selector));
        }
        Stage memory long = stageOf(Kind.Auction);
        (long.price, long.supply, long.key) = (PRICE, 10, bytes32(uint256(1) << 136 | uint256(60) << 96));
        addRefused(long, abi.encodeWithSelector(IDrop.InvalidStage.selector));
    }

    function test_AddStage_OneAuctionAndThirtyTwoStages() public {
        Stage memory stage = stageOf(Kind.Auction);
        (stage.price, stage.supply, stage.key) = (PRICE, 10, auctionKey(60, 1));
        add(stage);
        (stage.start, stage.end) = (END, END + 1);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidStage.selector));
        stage = stageOf(Kind.Public);
        for (uint40 i = 0; i < 31; ++i) {
            (stage.start, stage.end) = (END + i, END + i + 1);
            add(stage);
        }
        (stage.start, stage.end) = (END + 40, END + 41);
        addRefused(stage, abi.encodeWithSelector(IDrop.InvalidStage.selector));
    }

    function test_RemoveStage_OnlyBeforeItBegins() public {
        Stage memory stage = stageOf(Kind.Auction);
        (stage.start, stage.price, stage.supply, stage.key) = (START + 1, PRICE, 10, auctionKey(60, 1));
        add(stage);
        vm.prank(OWNER);
        sale.removeStage();
        add(stage); // the auction that was removed does not count
        vm.warp(START + 1);
        vm.expectRevert(abi.encodeWithSelector(IDrop.OutsideStage.selector, 0, START + 1, END));
        vm.prank(OWNER);
        sale.removeStage();
        setUp();
        vm.expectRevert(abi.encodeWithSelector(IDrop.WrongStage.selector, 0));
        vm.prank(OWNER);
        sale.removeStage();
        stage = stageOf(Kind.Public);
        stage.start = START + 1;
        add(stage);
        vm.prank(OWNER);
        sale.removeStage();
        vm.assertEq(sale.stages().length, 0, "stages");
    }

    function testFuzz_OnlyTheOwnerRules(address stranger) public {
        vm.assume(stranger != OWNER);
        add(stageOf(Kind.Public));
        bytes[5] memory calls = [
            abi.encodeCall(IDrop.addStage, (stageOf(Kind.Public))),
            abi.encodeCall(IDrop.removeStage, ()),
            abi.encodeCall(IDrop.setPaused, (true)),
            abi.encodeCall(IDrop.close, ()),
            abi.encodeCall(IDrop.transferOwnership, (stranger))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool success, bytes memory reason) = address(sale).call(calls[i]);
            vm.assertEq(success, false, "allowed");
            vm.assertEq(reason, abi.encodeWithSelector(IDrop.OwnableUnauthorizedAccount.selector, stranger), "reason");
        }
    }

    function test_Ownership_TakesTwoSteps() public {
        vm.prank(OWNER);
        sale.transferOwnership(BOB);
        vm.assertEq(sale.owner(), OWNER, "not yet");
        vm.expectRevert(abi.encodeWithSelector(IDrop.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        sale.acceptOwnership();
        vm.prank(BOB);
        sale.acceptOwnership();
        vm.assertEq(sale.owner(), BOB, "owner");
        vm.assertEq(sale.pendingOwner(), address(0), "pending owner");
    }

    // ───────────────────────────── Public ──────────────────────────────────────

    function testFuzz_Buy_PaysExactlyAndGetsTheTokens(uint256 quantity, uint256 value, address to) public {
        to = nonZero(to);
        (quantity, value) = (bound(quantity, 1, 20), bound(value, 0, 1 ether));
        add(stageOf(Kind.Public));
        if (value != quantity * PRICE) {
            vm.expectRevert(abi.encodeWithSelector(IDrop.WrongPayment.selector, value, quantity * PRICE));
            buy(ALICE, quantity, value);
        }
        vm.expectEmit(address(sale));
        emit IDrop.Purchase(0, ALICE, 1, quantity, PRICE);
        vm.prank(ALICE);
        sale.buy{value: quantity * PRICE}(0, to, quantity);
        vm.assertEq(collection.balanceOf(to), quantity, "tokens");
        vm.assertEq(sale.stages()[0].sold, quantity, "sold");
    }

    function testFuzz_Buy_OnlyInItsTime(uint40 time) public {
        Stage memory stage = stageOf(Kind.Public);
        (stage.start, stage.end) = (START + 10, END);
        add(stage);
        time = uint40(bound(time, START, END + 100));
        vm.warp(time);
        if (time < START + 10 || time >= END) {
            vm.expectRevert(abi.encodeWithSelector(IDrop.OutsideStage.selector, 0, START + 10, END));
        }
        buy(ALICE, 1, PRICE);
    }

    function test_Buy_InTheFirstAndTheLastSecond() public {
        add(stageOf(Kind.Public));
        buy(ALICE, 1, PRICE);
        vm.warp(END - 1);
        buy(ALICE, 1, PRICE);
        vm.warp(END);
        vm.expectRevert(abi.encodeWithSelector(IDrop.OutsideStage.selector, 0, START, END));
        buy(ALICE, 1, PRICE);
    }

    function test_Buy_AFreeStage() public {
        Stage memory stage = stageOf(Kind.Public);
        (stage.price, stage.walletLimit) = (0, 1);
        add(stage);
        buy(ALICE, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IDrop.LimitExceeded.selector, ALICE, 1, 0));
        buy(ALICE, 1, 0);
    }

    function testFuzz_Buy_LimitsHoldPerWalletAndStage(uint16 limit, uint24 supply, uint256 first, uint256 second) public {
        Stage memory stage = stageOf(Kind.Public);
        (stage.walletLimit, stage.supply) = (uint16(bound(limit, 1, 20)), uint24(bound(supply, 1, 30)));
        (first, second) = (bound(first, 1, 12), bound(second, 0, 25));
        first = first > stage.walletLimit ? stage.walletLimit : first;
        first = first > stage.supply ? stage.supply : first;
        add(stage);
        buy(ALICE, first, first * PRICE);
        if (second > stage.walletLimit - first) {
            vm.expectRevert(
                abi.encodeWithSelector(IDrop.LimitExceeded.selector, ALICE, second, stage.walletLimit - first)
            );
        } else if (second == 0 || second > stage.supply - first) {
            vm.expectRevert(abi.encodeWithSelector(IDrop.StageExceeded.selector, second, stage.supply - first));
        }
        buy(ALICE, second, second * PRICE);
        vm.assertLe(sale.boughtBy(0, ALICE), stage.walletLimit, "limit");
        vm.assertLe(sale.stages()[0].sold, stage.supply, "supply");
    }

    function test_Buy_TheLastTokenGoesToOne() public {
        vm.prank(OWNER);
        collection.closeLot();
        openLot(collection, 1, address(sale), false);
        add(stageOf(Kind.Public));
        buy(ALICE, 1, PRICE);
        vm.expectRevert(abi.encodeWithSelector(ICollectionV2.LotExceeded.selector, 1, 0));
        vm.prank(BOB);
        sale.buy{value: PRICE}(0, BOB, 1);
        vm.assertEq(BOB.balance, 1_000 ether, "the money came back");
    }

    function test_Buy_AnotherKindOrAMissingStage() public {
        add(stageOf(Kind.Public));
        bytes32[] memory proof;
        vm.expectRevert(abi.encodeWithSelector(IDrop.WrongStage.selector, 0));
        sale.buyListed(0, ALICE, ALICE, 1, 0, 0, proof);
        vm.expectRevert(abi.encodeWithSelector(IDrop.WrongStage.selector, 1));
        sale.buy(1, ALICE, 1);
        vm.expectRevert(abi.encodeWithSelector(IDrop.WrongStage.selector, 0));
        sale.auctionPrice();
    }

    function test_PauseStopsAndCloseEnds() public {
        add(stageOf(Kind.Public));
        vm.prank(OWNER);
        sale.setPaused(true);
        vm.assertTrue(sale.paused(), "paused");
        vm.expectRevert(abi.encodeWithSelector(IDrop.DropIsPaused.selector));
        buy(ALICE, 1, PRICE);
        vm.prank(OWNER);
        sale.setPaused(false);
        buy(ALICE, 1, PRICE);
        vm.prank(OWNER);
        sale.close();
        vm.assertTrue(sale.closed(), "closed");
        vm.expectRevert(abi.encodeWithSelector(IDrop.DropIsClosed.selector));
        buy(ALICE, 1, PRICE);
        vm.expectRevert(abi.encodeWithSelector(IDrop.DropIsClosed.selector));
        vm.prank(OWNER);
        sale.close();
        addRefused(stageOf(Kind.Public), abi.encodeWithSelector(IDrop.DropIsClosed.selector));
    }

    // ───────────────────────────── Allowlist ───────────────────────────────────

    function leaf(address account, uint256 price, uint256 limit) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, price, limit))));
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function addList() private returns (bytes32[] memory proof) {
        Stage memory stage = stageOf(Kind.Allowlist);
        proof = new bytes32[](1);
        proof[0] = leaf(BOB, 7, 1);
        stage.key = pair(leaf(ALICE, 5, 3), proof[0]);
        add(stage);
    }

    function testFuzz_Listed_PriceAndLimitAreThoseOfTheList(address account, uint256 price, uint256 limit) public {
        bytes32[] memory proof = addList();
        price = bound(price, 0, 10);
        limit = bound(limit, 0, 10);
        bool listed = account == ALICE && price == 5 && limit == 3;
        vm.deal(account, 1 ether);
        if (!listed) vm.expectRevert(abi.encodeWithSelector(IDrop.NotListed.selector, account));
        vm.prank(account);
        sale.buyListed{value: price}(0, account, nonZero(account), 1, price, limit, proof);
    }

    function test_Listed_UpToTheLimitAndNoFurther() public {
        bytes32[] memory proof = addList();
        vm.prank(ALICE);
        sale.buyListed{value: 10}(0, ALICE, ALICE, 2, 5, 3, proof);
        vm.expectRevert(abi.encodeWithSelector(IDrop.LimitExceeded.selector, ALICE, 2, 1));
        vm.prank(ALICE);
        sale.buyListed{value: 10}(0, ALICE, ALICE, 2, 5, 3, proof);
        vm.prank(ALICE);
        sale.buyListed{value: 5}(0, ALICE, ALICE, 1, 5, 3, proof);
        vm.assertEq(collection.balanceOf(ALICE), 3, "tokens");
    }

    function test_Listed_TwiceWithDifferentLimits() public {
        Stage memory stage = stageOf(Kind.Allowlist);
        bytes32[] memory proof = new bytes32[](1);
        stage.key = pair(leaf(ALICE, 0, 3), leaf(ALICE, 0, 1));
        add(stage);
        proof[0] = leaf(ALICE, 0, 1);
        vm.prank(ALICE);
        sale.buyListed(0, ALICE, ALICE, 3, 0, 3, proof);
        proof[0] = leaf(ALICE, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IDrop.LimitExceeded.selector, ALICE, 1, 0));
        vm.prank(ALICE);
        sale.buyListed(0, ALICE, ALICE, 1, 0, 1, proof);
    }

    function test_Listed_NobodyUsesTheProofOfAnother() public {
        bytes32[] memory proof = addList();
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotForYou.selector, ALICE));
        vm.prank(STRANGER);
        sale.buyListed{value: 5}(0, ALICE, STRANGER, 1, 5, 3, proof);
    }

    function test_Listed_TheDelegateMayWhereDelegatesAreKept() public {
        bytes32[] memory proof = addList();
        vm.etch(0x00000000000000447e69651d841bD8D104Bed493, address(new Delegates(STRANGER)).code);
        vm.prank(STRANGER);
        sale.buyListed{value: 5}(0, ALICE, STRANGER, 1, 5, 3, proof);
        vm.assertEq(sale.boughtBy(0, ALICE), 1, "counted for the listed");
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotForYou.selector, ALICE));
        vm.prank(HELPER);
        sale.buyListed(0, ALICE, HELPER, 1, 5, 3, proof);
    }

    // ───────────────────────────── Voucher ─────────────────────────────────────

    function addVouchers() private {
        Stage memory stage = stageOf(Kind.Voucher);
        stage.key = bytes32(uint256(uint160(vm.addr(SIGNER_KEY))));
        add(stage);
    }

    function someVoucher() private pure returns (Voucher memory) {
        return Voucher({stage: 0, account: ALICE, quantity: 2, price: 5, nonce: 300, deadline: START + 10});
    }

    function signed(uint256 key, Voucher memory voucher, address for_, uint256 chain) private pure returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Drop"),
                keccak256("1"),
                chain,
                for_
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Voucher(uint256 stage,address account,uint256 quantity,uint256 price,uint256 nonce,uint256 deadline)"
                ),
                voucher
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked("\x19\x01", domain, content)));
        return abi.encodePacked(r, s, v);
    }

    function test_Voucher_BuysOnceWhatItSays() public {
        addVouchers();
        Voucher memory voucher = someVoucher();
        bytes memory signature = signed(SIGNER_KEY, voucher, address(sale), block.chainid);
        vm.assertEq(sale.isSpent(300), false, "before");
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(voucher, signature, BOB);
        vm.assertEq(collection.balanceOf(BOB), 2, "tokens");
        vm.assertTrue(sale.isSpent(300) && !sale.isSpent(301), "spent");
        vm.expectRevert(abi.encodeWithSelector(IDrop.VoucherIsSpent.selector, 300));
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(voucher, signature, BOB);
    }

    function testFuzz_Voucher_NothingOfItCanBeChanged(uint256 which, uint256 change) public {
        addVouchers();
        Voucher memory voucher = someVoucher();
        bytes memory signature = signed(SIGNER_KEY, voucher, address(sale), block.chainid);
        change = bound(change, 1, 5);
        which = which % 4;
        if (which == 0) voucher.quantity += change;
        if (which == 1) voucher.price -= change;
        if (which == 2) voucher.nonce += change;
        if (which == 3) voucher.deadline += change;
        vm.expectRevert(abi.encodeWithSelector(IDrop.InvalidVoucher.selector));
        vm.prank(ALICE);
        sale.buyWithVoucher{value: voucher.price * voucher.quantity}(voucher, signature, ALICE);
    }

    function test_Voucher_NotForAnotherAccountChainContractOrSigner() public {
        addVouchers();
        Voucher memory voucher = someVoucher();
        bytes[3] memory signatures = [
            signed(SIGNER_KEY, voucher, address(sale), block.chainid + 1),
            signed(SIGNER_KEY, voucher, address(collection), block.chainid),
            signed(SIGNER_KEY + 1, voucher, address(sale), block.chainid)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IDrop.InvalidVoucher.selector));
            vm.prank(ALICE);
            sale.buyWithVoucher{value: 10}(voucher, signatures[i], ALICE);
        }
        bytes memory signature = signed(SIGNER_KEY, voucher, address(sale), block.chainid);
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotForYou.selector, ALICE));
        vm.prank(STRANGER);
        sale.buyWithVoucher{value: 10}(voucher, signature, STRANGER);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(abi.encodeWithSelector(IDrop.InvalidVoucher.selector));
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(voucher, signature, ALICE);
    }

    function test_Voucher_UntilItsDeadline() public {
        addVouchers();
        Voucher memory voucher = someVoucher();
        bytes memory signature = signed(SIGNER_KEY, voucher, address(sale), block.chainid);
        vm.warp(START + 11);
        vm.expectRevert(abi.encodeWithSelector(IDrop.VoucherExpired.selector, START + 10));
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(voucher, signature, ALICE);
        vm.warp(START + 10);
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(voucher, signature, ALICE);
    }

    function test_Voucher_AContractMaySign() public {
        Stage memory stage = stageOf(Kind.Voucher);
        stage.key = bytes32(uint256(uint160(address(new Signing("by the book")))));
        add(stage);
        vm.expectRevert(abi.encodeWithSelector(IDrop.InvalidVoucher.selector));
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(someVoucher(), "not by the book", ALICE);
        vm.prank(ALICE);
        sale.buyWithVoucher{value: 10}(someVoucher(), "by the book", ALICE);
    }

    // ───────────────────────────── Holder ──────────────────────────────────────

    function addHolders() private returns (ICollectionV2 held, uint256[] memory ids) {
        held = makeOf(someTerms());
        mint(held, ALICE, 2);
        mint(held, BOB, 1);
        Stage memory stage = stageOf(Kind.Holder);
        stage.key = bytes32(uint256(uint160(address(held))));
        add(stage);
        ids = new uint256[](2);
        (ids[0], ids[1]) = (1, 2);
    }

    function test_Holder_EachTokenCountsOnce() public {
        (ICollectionV2 held, uint256[] memory ids) = addHolders();
        vm.prank(ALICE);
        sale.buyAsHolder{value: 2 * PRICE}(0, ALICE, ALICE, ids);
        vm.assertEq(collection.balanceOf(ALICE), 2, "tokens");
        vm.prank(ALICE);
        held.transferFrom(ALICE, BOB, 2);
        ids[0] = 3;
        vm.expectRevert(abi.encodeWithSelector(IDrop.TokenIsSpent.selector, 2));
        vm.prank(BOB);
        sale.buyAsHolder{value: 2 * PRICE}(0, BOB, BOB, ids);
    }

    function test_Holder_TheSameTokenTwiceInOneCall() public {
        (, uint256[] memory ids) = addHolders();
        ids[1] = 1;
        vm.expectRevert(abi.encodeWithSelector(IDrop.TokenIsSpent.selector, 1));
        vm.prank(ALICE);
        sale.buyAsHolder{value: 2 * PRICE}(0, ALICE, ALICE, ids);
    }

    function test_Holder_OnlyWithWhatIsHeld() public {
        (, uint256[] memory ids) = addHolders();
        ids[1] = 3;
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotHolder.selector, ALICE, 3));
        vm.prank(ALICE);
        sale.buyAsHolder{value: 2 * PRICE}(0, ALICE, ALICE, ids);
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotForYou.selector, ALICE));
        vm.prank(BOB);
        sale.buyAsHolder{value: 2 * PRICE}(0, ALICE, BOB, ids);
        vm.expectRevert(abi.encodeWithSelector(IDrop.StageExceeded.selector, 0, type(uint24).max));
        vm.prank(ALICE);
        sale.buyAsHolder(0, ALICE, ALICE, new uint256[](0));
    }

    // ───────────────────────────── Auction ─────────────────────────────────────

    function auctionKey(uint256 step, uint256 lowest) internal pure returns (bytes32) {
        return bytes32(step << 96 | lowest);
    }

    /// @dev From 10 ether to 1 in 9,000 seconds, in steps of 1,000.
    function addAuction(uint24 supply) internal {
        Stage memory stage = stageOf(Kind.Auction);
        (stage.end, stage.price, stage.supply) = (START + 9_000, 10 ether, supply);
        (stage.walletLimit, stage.key) = (50, auctionKey(1_000, 1 ether));
        add(stage);
    }

    function bid(address account, uint256 quantity, uint256 value) internal {
        vm.prank(account);
        sale.bid{value: value}(0, account, quantity);
    }

    function test_Auction_FallsInStepsToTheLowest() public {
        addAuction(10);
        uint256[5] memory times = [uint256(0), 999, 1_000, 8_999, 9_000];
        uint256[5] memory prices = [uint256(10 ether), 10 ether, 9 ether, 2 ether, 1 ether];
        for (uint256 i = 0; i < 5; ++i) {
            vm.warp(START + times[i]);
            (uint256 price, uint256 last) = sale.auctionPrice();
            vm.assertEq(price, prices[i], "price");
            vm.assertEq(last, 0, "before the first bid");
        }
    }

    function test_Auction_EverybodyPaysTheLastPrice() public {
        addAuction(3);
        bid(ALICE, 1, 10 ether);
        vm.assertEq(sale.refundOf(ALICE), 0, "so far");
        vm.warp(START + 4_000);
        bid(BOB, 1, 7 ether); // one more than it has to be
        vm.assertEq(sale.refundOf(ALICE), 4 ether, "above the last price");
        vm.assertEq(sale.refundOf(BOB), 1 ether, "the excess");
        vm.prank(ALICE);
        sale.refund(HELPER);
        vm.assertEq(HELPER.balance, 4 ether, "wherever she wants it");
        vm.warp(START + 8_000);
        bid(STRANGER, 1, 2 ether); // sold out: settled
        vm.assertEq(sale.refundOf(ALICE), 4 ether, "again");
        vm.assertEq(sale.refundOf(BOB), 5 ether, "in all");
        vm.assertEq(sale.owedTo(0) + sale.owedTo(1), 6 ether, "three times the last price");
        sale.withdraw(0, ARTIST);
        sale.withdraw(1, HELPER);
        vm.prank(ALICE);
        sale.refund(ALICE);
        vm.prank(BOB);
        sale.refund(BOB);
        vm.assertEq(address(sale).balance, 0, "nothing is left");
        vm.assertEq(ARTIST.balance, 5.4 ether, "the artist");
        vm.expectRevert(abi.encodeWithSelector(IDrop.NothingOwed.selector, ALICE));
        vm.prank(ALICE);
        sale.refund(ALICE);
    }

    function test_Auction_WithoutALimitOneMayBidAgain() public {
        Stage memory stage = stageOf(Kind.Auction);
        (stage.price, stage.supply, stage.key) = (PRICE, 10, auctionKey(60, 1));
        add(stage);
        bid(ALICE, 4, 4 * PRICE);
        bid(ALICE, 6, 6 * PRICE);
        vm.assertEq(sale.boughtBy(0, ALICE), 10, "bought");
    }

    function test_Auction_UnsettledItsTokensCountAtTheLowestPrice() public {
        addAuction(10);
        bid(ALICE, 2, 20 ether);
        vm.assertEq(sale.owedTo(0), 1.8 ether, "two times the lowest price");
        sale.withdraw(0, ARTIST);
        vm.warp(START + 9_000);
        vm.assertEq(sale.owedTo(0), 16.2 ether, "at its end, not sold out: the last bid's price");
        vm.assertEq(sale.refundOf(ALICE), 0, "she bid last");
        vm.expectRevert(abi.encodeWithSelector(IDrop.OutsideStage.selector, 0, START, START + 9_000));
        bid(BOB, 1, 10 ether);
    }

    function test_Auction_CloseSettlesAndRefundsGoOnPausedFrozenAndClosed() public {
        addAuction(10);
        bid(ALICE, 1, 10 ether);
        vm.warp(START + 3_000);
        bid(BOB, 1, 7 ether);
        vm.prank(OWNER);
        sale.setPaused(true);
        vm.prank(OWNER);
        collection.close();
        vm.prank(OWNER);
        collection.freeze();
        vm.prank(ALICE);
        sale.refund(ALICE);
        vm.prank(OWNER);
        sale.close();
        vm.assertEq(sale.owedTo(0) + sale.owedTo(1), 14 ether, "settled");
    }

    function test_Auction_PaymentLimitAndSupply() public {
        addAuction(60);
        vm.expectRevert(abi.encodeWithSelector(IDrop.WrongPayment.selector, 19 ether, 20 ether));
        bid(ALICE, 2, 19 ether);
        bid(ALICE, 50, 500 ether);
        vm.expectRevert(abi.encodeWithSelector(IDrop.LimitExceeded.selector, ALICE, 1, 0));
        bid(ALICE, 1, 10 ether);
        vm.expectRevert(abi.encodeWithSelector(IDrop.StageExceeded.selector, 11, 10));
        bid(BOB, 11, 110 ether);
        bid(BOB, 10, 100 ether);
    }

    // ───────────────────────────── Money ───────────────────────────────────────

    function testFuzz_Withdraw_SharesAddUpToTheWei(uint96 price, uint8[] memory bought) public {
        Stage memory stage = stageOf(Kind.Public);
        stage.price = uint96(bound(price, 1, 1 ether));
        add(stage);
        uint256 earned = 0;
        for (uint256 i = 0; i < bought.length && i < 6; ++i) {
            uint256 quantity = bound(bought[i], 1, 9);
            buy(ALICE, quantity, quantity * stage.price);
            earned += quantity * stage.price;
            uint256 index = bought[i] % 2;
            uint256 owed = sale.owedTo(index);
            address payee = index == 0 ? ARTIST : HELPER;
            uint256 before = payee.balance;
            if (owed == 0) vm.expectRevert(abi.encodeWithSelector(IDrop.NothingOwed.selector, payee));
            sale.withdraw(index, payee);
            vm.assertEq(payee.balance - before, owed, "what was said");
        }
        vm.assertEq(sale.owedTo(0) + sale.owedTo(1), address(sale).balance, "nothing is nobody's");
        vm.assertEq(ARTIST.balance + HELPER.balance + address(sale).balance, earned, "to the wei");
    }

    function test_Withdraw_OnlyThePayeeSaysWhereto() public {
        add(stageOf(Kind.Public));
        buy(ALICE, 1, PRICE);
        vm.expectRevert(abi.encodeWithSelector(IDrop.NotForYou.selector, ARTIST));
        vm.prank(STRANGER);
        sale.withdraw(0, STRANGER);
        vm.prank(ARTIST);
        sale.withdraw(0, STRANGER);
        vm.assertEq(STRANGER.balance, 1_000 ether + PRICE * 9 / 10, "as the artist said");
    }

    function test_Withdraw_ForcedEtherIsEarned() public {
        vm.deal(address(sale), 1 ether);
        vm.assertEq(sale.owedTo(0), 0.9 ether, "the artist");
        vm.assertEq(sale.owedTo(1), 0.1 ether, "the helper");
        sale.withdraw(1, HELPER);
        sale.withdraw(0, ARTIST);
        vm.assertEq(address(sale).balance, 0, "nothing is left");
    }

    function test_Withdraw_APayeeThatRefusesStopsNobody() public {
        Payable refusing = new Payable();
        Payee[] memory payees = new Payee[](2);
        (payees[0], payees[1]) = (Payee(address(refusing), 5_000), Payee(HELPER, 5_000));
        sale = makeDropOf(collection, payees);
        vm.prank(OWNER);
        collection.setSeller(address(sale));
        add(stageOf(Kind.Public));
        buy(ALICE, 1, PRICE);
        vm.expectRevert(abi.encodeWithSelector(IDrop.PaymentFailed.selector, refusing));
        sale.withdraw(0, address(refusing));
        sale.withdraw(1, HELPER);
        refusing.accept(address(sale), abi.encodeCall(IDrop.withdraw, (0, address(refusing))));
        sale.withdraw(0, address(refusing));
        vm.assertEq(address(refusing).balance, PRICE / 2, "later, and once");
        vm.assertTrue(refusing.secondFailed(), "not a second time from within");
    }

    function test_Refund_NotASecondTimeFromWithin() public {
        addAuction(10);
        Payable bidder = new Payable();
        vm.deal(address(bidder), 0);
        bidder.forward{value: 12 ether}(address(sale), abi.encodeCall(IDrop.bid, (0, ALICE, 1)));
        bid(BOB, 1, 10 ether);
        bytes memory call_ = abi.encodeCall(IDrop.refund, (address(bidder)));
        vm.assertEq(bidder.forward(address(sale), call_), false, "it refuses its own money");
        vm.assertEq(sale.refundOf(address(bidder)), 2 ether, "which stays its own");
        bidder.accept(address(sale), call_);
        vm.assertTrue(bidder.forward(address(sale), call_), "refunded");
        vm.assertEq(address(bidder).balance, 2 ether, "once");
        vm.assertTrue(bidder.secondFailed(), "not a second time from within");
    }

    function test_NobodySendsEtherByMistake() public {
        vm.prank(ALICE);
        (bool sent,) = address(sale).call{value: 1}("");
        vm.assertEq(sent, false, "sent");
    }
}
