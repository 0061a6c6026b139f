// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  Who may buy in a stage.
enum Kind {
    None,
    Public, // everybody
    Allowlist, // who is in a Merkle tree, at the price and up to the limit that stand there
    Voucher, // who has a signed voucher
    Holder, // who holds a token of another collection; each of its tokens counts once
    Auction // everybody, at a falling price; all pay the last one
}

/// @title  One stage of a sale. Once it has begun nothing of it can be changed.
struct Stage {
    Kind kind;
    uint40 start; // first second
    uint40 end; // first second after it
    uint96 price; // wei per token; an auction's first price; unused by Allowlist and Voucher
    uint24 supply; // tokens that can be bought in this stage; 0: what the lot has
    uint16 walletLimit; // tokens per account in this stage; 0: no limit; unused by Allowlist
    uint24 sold;
    bytes32 key; // Allowlist: root; Voucher: signer; Holder: the other collection; Auction: step in seconds << 96 | lowest price
}

/// @title  The permission to buy once, signed by a stage's signer (EIP-712, domain "Drop", "1").
struct Voucher {
    uint256 stage;
    address account; // who may buy
    uint256 quantity; // exactly so many
    uint256 price; // wei per token
    uint256 nonce; // used once in the whole drop
    uint256 deadline; // last second
}

/// @title  The outer face of a sale: stages, prices, shares.
/// @notice Sells the tokens of one collection's open lot, as its seller. It can mint what the lot has and nothing else;
///         what is wrong here cannot touch a token.
/// @dev    Stages follow each other and never overlap. Payment is exact (an auction takes more and gives it back).
///         Money is never sent on by a purchase: payees and bidders take what is theirs, each for itself.
interface IDrop {
    // ───────────────────────────── Errors ──────────────────────────────────────

    error OwnableUnauthorizedAccount(address account);
    /// @notice Only the factory makes a drop, and only once.
    error UnauthorizedFactory(address account);
    /// @notice The drop is closed for ever.
    error DropIsClosed();
    /// @notice The drop is paused.
    error DropIsPaused();
    /// @notice There is no stage of this number, or it is of another kind.
    error WrongStage(uint256 stage);
    /// @notice The stage is from `start` until before `end`.
    error OutsideStage(uint256 stage, uint256 start, uint256 end);
    /// @notice A stage must begin before it ends, end in the future, and begin when the one before has ended or later.
    error InvalidTimes(uint256 start, uint256 end);
    /// @notice A stage's key, price, supply or limit does not fit its kind.
    error InvalidStage();
    /// @notice This many was sent, and that many had to be.
    error WrongPayment(uint256 sent, uint256 expected);
    /// @notice `requested` tokens were to be bought in the stage, and `available` are left. At least one is bought.
    error StageExceeded(uint256 requested, uint256 available);
    /// @notice `requested` tokens were to be bought, and the account may have `available` more in this stage.
    error LimitExceeded(address account, uint256 requested, uint256 available);
    /// @notice The account is not in the list with this price and limit.
    error NotListed(address account);
    /// @notice Who calls is neither this account nor its delegate.
    error NotForYou(address account);
    /// @notice The voucher is not signed by the stage's signer for this drop on this chain.
    error InvalidVoucher();
    /// @notice The voucher could be used until `deadline`.
    error VoucherExpired(uint256 deadline);
    /// @notice The voucher was used before.
    error VoucherIsSpent(uint256 nonce);
    /// @notice `account` does not hold this token of the other collection.
    error NotHolder(address account, uint256 tokenId);
    /// @notice Somebody bought with this token of the other collection before.
    error TokenIsSpent(uint256 tokenId);
    /// @notice There is nothing to take for this account.
    error NothingOwed(address account);
    /// @notice The receiver refused the money; it stays here for it.
    error PaymentFailed(address receiver);

    // ───────────────────────────── Events ──────────────────────────────────────

    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event StageAdded(uint256 indexed stage, Stage terms);
    event StageRemoved(uint256 indexed stage);
    event PausedUpdated(bool paused);
    event DropClosed();
    /// @notice `account` bought the tokens `firstTokenId` and on for `price` each; an auction's price is the one of that moment.
    event Purchase(uint256 indexed stage, address indexed account, uint256 firstTokenId, uint256 quantity, uint256 price);
    event Refunded(address indexed account, address indexed to, uint256 amount);
    event Withdrawn(uint256 indexed index, address indexed to, uint256 amount);

    // ───────────────────────────── Buying ──────────────────────────────────────
    // Tokens go to `to`, whom nobody calls. Limits count the account that is named, or else who calls.

    function buy(uint256 stage, address to, uint256 quantity) external payable;

    /// @notice With a proof that (account, price, limit) is in the list: the leaf is
    ///         keccak256(bytes.concat(keccak256(abi.encode(account, price, limit)))). The account itself, or its delegate.
    function buyListed(
        uint256 stage,
        address account,
        address to,
        uint256 quantity,
        uint256 price,
        uint256 limit,
        bytes32[] calldata proof
    ) external payable;

    /// @notice With a voucher: the account that it names, for all that it names.
    function buyWithVoucher(Voucher calldata voucher, bytes calldata signature, address to) external payable;

    /// @notice One token for each of `tokenIds` of the other collection, which `account` holds. The account itself, or its delegate.
    function buyAsHolder(uint256 stage, address account, address to, uint256[] calldata tokenIds) external payable;

    /// @notice At the price of this second or more; what is above the last price of all can be taken back at any time.
    function bid(uint256 stage, address to, uint256 quantity) external payable;

    // ───────────────────────────── Money ───────────────────────────────────────

    /// @notice What `account` can take back: what it paid in the auction above the last price, so far.
    function refundOf(address account) external view returns (uint256);

    /// @notice Sends the caller's refund to `to`. Possible while paused, after closing, and for ever.
    function refund(address to) external;

    /// @notice Sends what payee `index` has earned to `to`. Anybody may have it sent to the payee; it alone elsewhere.
    /// @dev    Before an auction is settled its tokens count at the lowest price that it could fall to.
    function withdraw(uint256 index, address to) external;

    /// @notice What payee `index` could take now.
    function owedTo(uint256 index) external view returns (uint256);

    /// @notice Who shares: account and hundredths of a percent. Fixed when the drop was made. The first also gets what
    ///         does not divide.
    function payees() external view returns (address[] memory accounts, uint256[] memory shares);

    // ───────────────────────────── Stages ──────────────────────────────────────

    /// @notice Adds a stage behind the others. Owner only. `sold` must be 0; there is at most one auction.
    function addStage(Stage calldata terms) external;

    /// @notice Removes the last stage, which has not begun. Owner only.
    function removeStage() external;

    function stages() external view returns (Stage[] memory);

    /// @notice How many tokens `account` bought in a stage that counts accounts.
    function boughtBy(uint256 stage, address account) external view returns (uint256);

    function isSpent(uint256 nonce) external view returns (bool);

    /// @notice The price that a bid has to pay now, and the one that all have to pay so far (0 before the first).
    function auctionPrice() external view returns (uint256 now_, uint256 last);

    // ───────────────────────────── The rest ────────────────────────────────────

    /// @notice Stops sales, or goes on. Owner only. Refunds and withdrawals go on.
    function setPaused(bool paused) external;

    /// @notice Ends sales for ever; an auction is settled at its last price. Owner only.
    function close() external;

    function paused() external view returns (bool);

    function closed() external view returns (bool);

    /// @notice The collection that is sold.
    function collection() external view returns (address);

    function owner() external view returns (address);

    function pendingOwner() external view returns (address);

    function transferOwnership(address newOwner) external;

    function acceptOwnership() external;

    /// @notice Gives a new drop its owner. Factory only.
    function initialize(address owner) external;
}
