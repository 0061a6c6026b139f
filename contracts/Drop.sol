// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";
import {IDrop, Kind, Stage, Voucher} from "./IDrop.sol";

/// @title  The part of a collection that a drop uses.
interface ISold {
    function mint(address to, uint256 quantity) external returns (uint256 start);
}

/// @title  The part of another collection that a holders' stage uses.
interface IHeld {
    function ownerOf(uint256 tokenId) external view returns (address);
}

/// @title  The part of delegate.xyz (v2) that lets a wallet buy for another one.
interface IDelegates {
    function checkDelegateForContract(address to, address from, address contract_, bytes32 rights)
        external
        view
        returns (bool);
}

/// @title  A sale of one collection's lot in stages.
/// @notice Signatures, events, errors and their meaning are those of IDrop.
/// @dev    Made by Factory.sol, as a minimal proxy or as a copy of this code; payees and collection stand behind the code
///         of each drop. A purchase writes as little as it can: what was earned is the balance without what is owed to
///         others, so there is no counter of it, and ether that is forced in is earned.
///
///         Why there is no guard against re-entrance: a purchase calls views, and a collection that calls nobody. The two
///         functions that send money have written everything before they do.
contract Drop is IDrop, EIP712 {
    // ───────────────────────────── Types and constants ─────────────────────────

    /// @dev One storage slot.
    struct Control {
        address owner;
        bool paused;
        bool closed;
        uint8 stages;
        uint8 auction; // its stage + 1; 0: there is none
    }

    /// @dev What the auction's bidders paid, less what they took back; and the price of the last bid.
    struct Auction {
        uint128 held;
        uint128 last;
    }

    /// @dev What one account bought in one stage, and what it has paid for it if the stage is an auction.
    struct Account {
        uint128 count;
        uint128 paid;
    }

    uint256 private constant SHARES = 10_000;
    uint256 private constant MOST_STAGES = 32; // they are read in one loop
    bytes32 private constant VOUCHER = keccak256(
        "Voucher(uint256 stage,address account,uint256 quantity,uint256 price,uint256 nonce,uint256 deadline)"
    );
    IDelegates private constant DELEGATES = IDelegates(0x00000000000000447e69651d841bD8D104Bed493);

    // ───────────────────────────── Storage ─────────────────────────────────────

    address private immutable _factory;

    Control private _control;

    /// @inheritdoc IDrop
    address public pendingOwner;

    mapping(uint256 stage => Stage) private _stages;
    mapping(uint256 stage => mapping(address account => Account)) private _accounts;
    mapping(uint256 word => uint256) private _spentVouchers;
    mapping(uint256 stage => mapping(uint256 word => uint256)) private _spentTokens;
    Auction private _auction;

    /// @dev What payees were credited and have not taken, together and each.
    uint256 private _credited;
    mapping(uint256 index => uint256) private _credits;

    // ───────────────────────────── Constructor ─────────────────────────────────

    /// @dev Of the implementation, which is nobody's.
    constructor() {
        _factory = msg.sender;
        _control.closed = true;
    }

    /// @inheritdoc IDrop
    function initialize(address owner_) external {
        require(msg.sender == _factory && _control.owner == address(0), UnauthorizedFactory(msg.sender));
        _control.owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
    }

    modifier onlyOwner() {
        require(msg.sender == _control.owner, OwnableUnauthorizedAccount(msg.sender));
        _;
    }

    // ───────────────────────────── Buying ──────────────────────────────────────

    /// @inheritdoc IDrop
    function buy(uint256 stageId, address to, uint256 quantity) external payable {
        Stage storage stage = _begun(stageId, Kind.Public);
        uint256 price = stage.price;
        _requirePayment(quantity, price);
        _count(stageId, msg.sender, quantity, stage.walletLimit);
        _deliver(stageId, msg.sender, to, quantity, price);
    }

    /// @inheritdoc IDrop
    function buyListed(
        uint256 stageId,
        address account,
        address to,
        uint256 quantity,
        uint256 price,
        uint256 limit,
        bytes32[] calldata proof
    ) external payable {
        Stage storage stage = _begun(stageId, Kind.Allowlist);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, price, limit))));
        require(MerkleProof.verifyCalldata(proof, stage.key, leaf), NotListed(account));
        require(_mayBuyFor(account, collection()), NotForYou(account));
        _requirePayment(quantity, price);
        // A limit of 0 in the list is none, as it is everywhere.
        _count(stageId, account, quantity, limit);
        _deliver(stageId, account, to, quantity, price);
    }

    /// @inheritdoc IDrop
    function buyWithVoucher(Voucher calldata voucher, bytes calldata signature, address to) external payable {
        Stage storage stage = _begun(voucher.stage, Kind.Voucher);
        require(msg.sender == voucher.account, NotForYou(voucher.account));
        require(block.timestamp <= voucher.deadline, VoucherExpired(voucher.deadline));
        bytes32 digest = _hashTypedData(keccak256(abi.encode(VOUCHER, voucher)));
        address signer = address(uint160(uint256(stage.key)));
        require(SignatureCheckerLib.isValidSignatureNowCalldata(signer, digest, signature), InvalidVoucher());
        require(_spend(_spentVouchers, voucher.nonce), VoucherIsSpent(voucher.nonce));
        _requirePayment(voucher.quantity, voucher.price);
        _count(voucher.stage, msg.sender, voucher.quantity, stage.walletLimit);
        _deliver(voucher.stage, msg.sender, to, voucher.quantity, voucher.price);
    }

    /// @inheritdoc IDrop
    function buyAsHolder(uint256 stageId, address account, address to, uint256[] calldata tokenIds) external payable {
        Stage storage stage = _begun(stageId, Kind.Holder);
        address held = address(uint160(uint256(stage.key)));
        require(_mayBuyFor(account, held), NotForYou(account));
        for (uint256 i = 0; i < tokenIds.length; ++i) {
            require(IHeld(held).ownerOf(tokenIds[i]) == account, NotHolder(account, tokenIds[i]));
            require(_spend(_spentTokens[stageId], tokenIds[i]), TokenIsSpent(tokenIds[i]));
        }
        uint256 price = stage.price;
        _requirePayment(tokenIds.length, price);
        _count(stageId, account, tokenIds.length, stage.walletLimit);
        _deliver(stageId, account, to, tokenIds.length, price);
    }

    /// @inheritdoc IDrop
    function bid(uint256 stageId, address to, uint256 quantity) external payable {
        Stage storage stage = _begun(stageId, Kind.Auction);
        uint256 price = _priceNow(stage);
        require(msg.value >= price * quantity, WrongPayment(msg.value, price * quantity));
        Account storage account = _accounts[stageId][msg.sender];
        _requireRoom(msg.sender, account.count, quantity, stage.walletLimit);
        // Neither ether nor, by the stage's supply, tokens come near 2^128.
        account.count += uint128(quantity);
        account.paid += uint128(msg.value);
        _auction = Auction({held: _auction.held + uint128(msg.value), last: uint128(price)});
        _deliver(stageId, msg.sender, to, quantity, price);
    }

    // ───────────────────────────── Money ───────────────────────────────────────

    /// @inheritdoc IDrop
    function refundOf(address account) public view returns (uint256) {
        Account memory bidder = _bidder(account);
        return bidder.paid - _auction.last * bidder.count;
    }

    /// @inheritdoc IDrop
    function refund(address to) external {
        uint256 amount = refundOf(msg.sender);
        require(amount != 0, NothingOwed(msg.sender));
        _bidder(msg.sender).paid -= uint128(amount);
        _auction.held -= uint128(amount);
        emit Refunded(msg.sender, to, amount);
        _send(to, amount);
    }

    /// @inheritdoc IDrop
    function withdraw(uint256 index, address to) external {
        (address[] memory accounts, uint256[] memory shares) = payees();
        require(msg.sender == accounts[index] || to == accounts[index], NotForYou(accounts[index]));

        // Credited to all at once: shares taken at different times could else round to more than there is.
        uint256 earned = _earned();
        uint256 rest = earned;
        for (uint256 i = 1; i < shares.length; ++i) {
            uint256 part = earned * shares[i] / SHARES;
            _credits[i] += part;
            rest -= part;
        }
        _credits[0] += rest;

        uint256 amount = _credits[index];
        require(amount != 0, NothingOwed(accounts[index]));
        delete _credits[index];
        _credited = _credited + earned - amount;
        emit Withdrawn(index, to, amount);
        _send(to, amount);
    }

    /// @inheritdoc IDrop
    function owedTo(uint256 index) external view returns (uint256 amount) {
        (, uint256[] memory shares) = payees();
        uint256 earned = _earned();
        if (index != 0) return _credits[index] + earned * shares[index] / SHARES;
        amount = _credits[0] + earned;
        for (uint256 i = 1; i < shares.length; ++i) {
            amount -= earned * shares[i] / SHARES;
        }
    }

    /// @inheritdoc IDrop
    function payees() public view returns (address[] memory accounts, uint256[] memory shares) {
        uint256 count = uint8(uint256(_argument(32)));
        (accounts, shares) = (new address[](count), new uint256[](count));
        for (uint256 i = 0; i < count; ++i) {
            uint256 payee = uint256(_argument(53 + 22 * (count - i - 1)));
            (accounts[i], shares[i]) = (address(uint160(payee >> 16)), uint16(payee));
        }
    }

    // ───────────────────────────── Stages ──────────────────────────────────────

    /// @inheritdoc IDrop
    function addStage(Stage calldata terms) external onlyOwner {
        Control storage control = _control;
        uint256 stageId = control.stages;
        require(!control.closed, DropIsClosed());
        require(
            terms.start < terms.end && terms.end > block.timestamp
                && (stageId == 0 || terms.start >= _stages[stageId - 1].end),
            InvalidTimes(terms.start, terms.end)
        );
        require(stageId < MOST_STAGES && _isSound(terms), InvalidStage());
        if (terms.kind == Kind.Auction) {
            require(control.auction == 0, InvalidStage());
            control.auction = uint8(stageId + 1);
        }
        _stages[stageId] = terms;
        ++control.stages;
        emit StageAdded(stageId, terms);
    }

    /// @inheritdoc IDrop
    function removeStage() external onlyOwner {
        Control storage control = _control;
        require(control.stages != 0, WrongStage(0));
        uint256 stageId = control.stages - 1;
        Stage storage stage = _stages[stageId];
        require(stage.start > block.timestamp, OutsideStage(stageId, stage.start, stage.end));
        if (stage.kind == Kind.Auction) control.auction = 0;
        delete _stages[stageId];
        --control.stages;
        emit StageRemoved(stageId);
    }

    /// @inheritdoc IDrop
    function stages() external view returns (Stage[] memory all) {
        all = new Stage[](_control.stages);
        for (uint256 i = 0; i < all.length; ++i) {
            all[i] = _stages[i];
        }
    }

    /// @inheritdoc IDrop
    function boughtBy(uint256 stageId, address account) external view returns (uint256) {
        return _accounts[stageId][account].count;
    }

    /// @inheritdoc IDrop
    function isSpent(uint256 nonce) external view returns (bool) {
        return _spentVouchers[nonce >> 8] >> (nonce & 255) & 1 != 0;
    }

    /// @inheritdoc IDrop
    function auctionPrice() external view returns (uint256 now_, uint256 last) {
        require(_control.auction != 0, WrongStage(0));
        return (_priceNow(_stages[_control.auction - 1]), _auction.last);
    }

    // ───────────────────────────── The rest ────────────────────────────────────

    /// @inheritdoc IDrop
    function setPaused(bool paused_) external onlyOwner {
        _control.paused = paused_;
        emit PausedUpdated(paused_);
    }

    /// @inheritdoc IDrop
    function close() external onlyOwner {
        require(!_control.closed, DropIsClosed());
        _control.closed = true;
        emit DropClosed();
    }

    /// @inheritdoc IDrop
    function paused() external view returns (bool) {
        return _control.paused;
    }

    /// @inheritdoc IDrop
    function closed() external view returns (bool) {
        return _control.closed;
    }

    /// @inheritdoc IDrop
    function collection() public view returns (address) {
        return address(uint160(uint256(_argument(33)))); // one byte, the count of payees, is behind it
    }

    /// @inheritdoc IDrop
    function owner() external view returns (address) {
        return _control.owner;
    }

    /// @inheritdoc IDrop
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc IDrop
    function acceptOwnership() external {
        require(msg.sender == pendingOwner, OwnableUnauthorizedAccount(msg.sender));
        delete pendingOwner;
        emit OwnershipTransferred(_control.owner, msg.sender);
        _control.owner = msg.sender;
    }

    // ───────────────────────────── Internal: a purchase ────────────────────────

    /// @dev The stage, if it is of this kind and this is its time.
    function _begun(uint256 stageId, Kind kind) private view returns (Stage storage stage) {
        Control memory control = _control;
        require(!control.closed, DropIsClosed());
        require(!control.paused, DropIsPaused());
        stage = _stages[stageId];
        require(stage.kind == kind, WrongStage(stageId));
        require(
            block.timestamp >= stage.start && block.timestamp < stage.end,
            OutsideStage(stageId, stage.start, stage.end)
        );
    }

    function _requirePayment(uint256 quantity, uint256 price) private view {
        require(msg.value == quantity * price, WrongPayment(msg.value, quantity * price));
    }

    /// @dev Nothing is counted, and nothing written, where there is no limit.
    function _count(uint256 stageId, address account, uint256 quantity, uint256 limit) private {
        if (limit == 0) return;
        Account storage counted = _accounts[stageId][account];
        _requireRoom(account, counted.count, quantity, limit);
        counted.count += uint128(quantity);
    }

    /// @dev An account can stand in a list twice, and have more than the lesser of its limits.
    function _requireRoom(address account, uint256 counted, uint256 quantity, uint256 limit) private pure {
        uint256 available = counted < limit ? limit - counted : 0;
        require(limit == 0 || quantity <= available, LimitExceeded(account, quantity, available));
    }

    function _deliver(uint256 stageId, address account, address to, uint256 quantity, uint256 price) private {
        Stage storage stage = _stages[stageId];
        uint256 sold = stage.sold;
        uint256 most = stage.supply == 0 ? type(uint24).max : stage.supply;
        // Cannot overflow: never more than `most` are sold. A quantity of zero wraps to one that is too large.
        unchecked {
            require(quantity - 1 < most - sold, StageExceeded(quantity, most - sold));
            stage.sold = uint24(sold + quantity);
        }
        uint256 first = ISold(collection()).mint(to, quantity);
        emit Purchase(stageId, account, first, quantity, price);
    }

    /// @dev Sets the bit of a number; false if it was set before.
    function _spend(mapping(uint256 word => uint256) storage bits, uint256 number) private returns (bool) {
        uint256 bit = 1 << (number & 255);
        uint256 word = bits[number >> 8];
        bits[number >> 8] = word | bit;
        return word & bit == 0;
    }

    function _mayBuyFor(address account, address for_) private view returns (bool) {
        return msg.sender == account
            || (address(DELEGATES).code.length != 0
                && DELEGATES.checkDelegateForContract(msg.sender, account, for_, ""));
    }

    // ───────────────────────────── Internal: stages and money ──────────────────

    function _isSound(Stage calldata terms) private pure returns (bool) {
        uint256 key = uint256(terms.key);
        if (terms.sold != 0) return false;
        if (terms.kind == Kind.Public) return key == 0;
        if (terms.kind == Kind.Allowlist) return key != 0 && terms.price == 0 && terms.walletLimit == 0;
        if (terms.kind == Kind.Voucher) return key != 0 && key >> 160 == 0 && terms.price == 0;
        if (terms.kind == Kind.Holder) return key != 0 && key >> 160 == 0;
        return terms.kind == Kind.Auction && key >> 96 != 0 && key >> 136 == 0 && uint96(key) <= terms.price
            && terms.supply != 0;
    }

    /// @dev Falls in steps, from the first price to the lowest, which it reaches with the end.
    function _priceNow(Stage storage stage) private view returns (uint256) {
        uint256 lowest = uint96(uint256(stage.key));
        uint256 step = uint256(stage.key) >> 96;
        if (block.timestamp <= stage.start) return stage.price;
        if (block.timestamp >= stage.end) return lowest;
        // Whole steps, on purpose.
        // slither-disable-next-line divide-before-multiply
        uint256 passed = (block.timestamp - stage.start) / step * step;
        return stage.price - (stage.price - lowest) * passed / (stage.end - stage.start);
    }

    function _bidder(address account) private view returns (Account storage) {
        // Without an auction it is the stage before the first: nobody buys there.
        unchecked {
            return _accounts[uint256(_control.auction) - 1][account];
        }
    }

    /// @dev What is here and nobody's yet: neither credited nor a bidder's. Before the auction is settled its price could
    ///      still fall, and what was earned with it: so its tokens count at the lowest price.
    function _earned() private view returns (uint256) {
        uint256 free = address(this).balance - _credited;
        uint256 auction = _control.auction;
        if (auction == 0) return free;
        Stage memory stage = _stages[auction - 1];
        bool settled = _control.closed || block.timestamp >= stage.end || stage.sold == stage.supply;
        uint256 price = settled ? _auction.last : uint96(uint256(stage.key));
        return free - (_auction.held - price * stage.sold);
    }

    function _send(address to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        require(sent, PaymentFailed(to));
    }

    /// @dev What stands behind the code, from its end: 1 byte count of the payees, 20 collection, 22 of each payee (20 account,
    ///      2 share), the first one farthest. The factory writes it.
    function _argument(uint256 fromEnd) private view returns (bytes32 value) {
        assembly ("memory-safe") {
            extcodecopy(address(), 0, sub(extcodesize(address()), fromEnd), 32)
            value := mload(0)
        }
    }

    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("Drop", "1");
    }
}
