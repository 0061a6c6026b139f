// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "./ICollection.sol";

/// @title  What a collection is made of, given once to the factory.
struct Terms {
    string name; // 1 to 31 bytes
    string symbol; // 1 to 31 bytes
    address owner; // not the zero address
    address minter; // may mint and nothing else; the zero address: nobody beside the owner
    address royaltyReceiver; // ERC-2981; the zero address only together with 0 basis points
    uint96 royaltyBps; // basis points of the sale price, 0 to 10,000
    uint256 maxSupply; // 0: no maximum
    bytes32 contractCidDigest; // directory with collection.json; 0: contractURI() is empty
    Licence licence; // of the Can't Be Evil family, for ever
    bool validated; // ERC-721-C: whether transfers can be put under a validator, for ever
    address transferValidator; // the first one; the zero address: none yet
}

/// @title  The Can't Be Evil licences, in the order of their numbers; one more than theirs, as 0 is none.
enum Licence {
    None,
    Public,
    Exclusive,
    Commercial,
    CommercialNoHate,
    Personal,
    PersonalNoHate
}

/// @title  The outer face of a collection that can be sold: everything of ICollection, and lots.
/// @notice A lot is a range of ids with its metadata directory, fixed before the sale. While it is open its seller (a
///         contract such as Drop, or SeaDrop's adapter) mints the next ids of it to buyers. Tokens of a lot have their
///         owner written at once: their transfers cost the same for ever, and there is no batch to search.
///
///         A lot whose pictures are not to be seen yet, or not drawn yet, is opened with the directory of a
///         placeholder. Its sold tokens are published afterwards, in the order of their ids: each gets its own
///         metadata once. Who may do that, and nothing else, is the publisher.
/// @dev    Made by Factory.sol alone: an implementation has no owner and never will. There is no constructor to
///         explain; what a collection is made of are the `Terms`, which stand behind its code.
///
///         One lot at a time, and nothing else meanwhile: until a lot is closed (or sold out) and its sold tokens are
///         published, `mintBatch`, `airdrop` and `openLot` are refused with `LotIsPending`. So ids have no gaps, lots
///         never overlap, and batches stay in the order of ids.
interface ICollectionV2 is ICollection {
    // ───────────────────────────── Errors ──────────────────────────────────────

    /// @notice A lot is open, or has sold tokens that are not published yet: nothing else can be minted meanwhile.
    error LotIsPending();
    /// @notice There is no open lot.
    error NoOpenLot();
    /// @notice `requested` tokens of the open lot were to be minted, and `available` are left. At least one is minted.
    error LotExceeded(uint256 requested, uint256 available);
    /// @notice Tokens up to `end` were to be published, and only those up to `last` are sold and wait for it.
    error NothingToPublish(uint256 end, uint256 last);
    /// @notice Metadata cannot be frozen: the lot's tokens after `published` have a placeholder.
    error TokensAreUnpublished(uint256 published);
    /// @notice `account` is neither the owner of the contract nor its publisher.
    error UnauthorizedPublisher(address account);
    /// @notice This collection was made without transfer validation.
    error NotValidated();
    /// @notice Only the factory makes a collection, and only once.
    error UnauthorizedFactory(address account);

    // ───────────────────────────── Events ──────────────────────────────────────

    /// @notice Tokens `start` to `end` can be sold. `commitment`: what is promised about a placeholder's future (the
    ///         hash of salt, root, count and model of a sealed collection; the CID of weights and renderer), or 0.
    event LotOpened(
        uint256 indexed start, uint256 end, bytes32 cidDigest, address seller, bool placeholder, bytes32 commitment
    );
    /// @notice The lot is sold out, or was closed after token `end`. Its block is the one that chance is counted from.
    event LotClosed(uint256 indexed end);
    event SellerUpdated(address indexed seller);
    event PublisherUpdated(address indexed publisher);
    /// @notice ERC-721-C.
    event TransferValidatorUpdated(address oldValidator, address newValidator);

    // ───────────────────────────── Lots ────────────────────────────────────────

    /// @notice Opens the ids `expectedStart` to `expectedStart + quantity - 1` for sale. Owner only.
    /// @param  placeholder Whether `cidDigest` is a placeholder's, to be replaced by `publish` after the purchase.
    ///         Refused once metadata is frozen.
    function openLot(
        uint256 expectedStart,
        uint256 quantity,
        bytes32 cidDigest,
        address seller,
        bool placeholder,
        bytes32 commitment
    ) external;

    /// @notice Mints the next `quantity` tokens of the open lot to `to`. The lot's seller, the minter or the owner.
    /// @dev    Calls nothing on `to`: a purchase cannot be entered a second time through it.
    /// @return start The first token id; the others follow it.
    function mint(address to, uint256 quantity) external returns (uint256 start);

    /// @notice Ends the open lot at its last sold token: the other ids are free again. Owner only. So does `close`.
    function closeLot() external;

    /// @notice Names another seller of the open lot; the zero address stops the sale. Owner only.
    function setSeller(address newSeller) external;

    /// @notice Gives sold tokens of a placeholder lot their metadata: `expectedStart` is the first that has none, and
    ///         `end` at most the last sold one. Publisher or owner.
    /// @dev    Each token goes through here once. When all sold tokens of a closed lot have, there is nothing left
    ///         that a publisher could do.
    function publish(uint256 expectedStart, uint256 end, bytes32 cidDigest) external;

    /// @notice The newest lot: who sells it, its last token id, the last one whose metadata is its own (of the whole lot
    ///         if it was opened without a placeholder), and whether it is open.
    function lot() external view returns (address seller, uint256 end, uint256 published, bool open);

    // ───────────────────────────── Roles ───────────────────────────────────────

    /// @notice The hot key that can publish and nothing else.
    function publisher() external view returns (address);

    /// @notice Names another publisher; the zero address: nobody beside the owner. Owner only.
    function setPublisher(address newPublisher) external;

    // ───────────────────────────── What it is ──────────────────────────────────

    /// @notice 2.
    function version() external pure returns (uint256);

    /// @notice Can't Be Evil: where the licence is to be read; empty if none was chosen.
    function getLicenseURI() external view returns (string memory);

    /// @notice Can't Be Evil: the licence's name; empty if none was chosen.
    function getLicenseName() external view returns (string memory);

    /// @notice ERC-721-C: the contract that is asked about each transfer; the zero address: none.
    function getTransferValidator() external view returns (address);

    /// @notice ERC-721-C: names another validator. Owner only, and only if the collection was made with validation.
    function setTransferValidator(address validator) external;

    /// @notice ERC-721-C: what is asked of the validator, and that asking changes nothing.
    function getTransferValidationFunction() external pure returns (bytes4 selector, bool isView);

    // ───────────────────────────── For the factory ─────────────────────────────

    /// @notice Gives a new collection its owner, its validator, and its first batch if `quantity` is not 0. Factory only.
    function initialize(address owner, address validator, address to, uint256 quantity, bytes32 cidDigest) external;
}
