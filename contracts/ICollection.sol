// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  The outer face of a collection: every signature, event and error that Collection.sol has.
/// @notice An ERC-721 whose tokens are minted in batches. A batch is stored as its last token id, its first
///         owner and one 32-byte digest: the sha2-256 of the UnixFS directory that holds the batch's metadata.
///         The digest is base URI and content commitment at once: `tokenURI` rebuilds the CIDv1 from it.
/// @dev    Token ids start at 1 and have no gaps. Every mint names the id it expects to start at, so a
///         transaction that is sent twice reverts the second time.
///
///         Constructor:
///             constructor(
///                 string  name,              // 1 to 31 bytes
///                 string  symbol,            // 1 to 31 bytes
///                 address owner,             // may do everything below; not the zero address
///                 address minter,            // may mint and nothing else; the zero address: nobody beside the owner
///                 address royaltyReceiver,   // ERC-2981; the zero address only together with 0 basis points
///                 uint96  royaltyBps,        // basis points of the sale price, 0 to 10,000
///                 uint256 maxSupply,         // 0: no maximum
///                 bytes32 contractCidDigest  // directory with collection.json; 0: contractURI() is empty
///             )
interface ICollection {
    // ───────────────────────────── ERC-6093 errors ─────────────────────────────

    /// @notice The zero address owns nothing and has no balance.
    error ERC721InvalidOwner(address owner);
    /// @notice No token of this id has been minted.
    error ERC721NonexistentToken(uint256 tokenId);
    /// @notice `sender` was named as the owner of `tokenId`, but `owner` is.
    error ERC721IncorrectOwner(address sender, uint256 tokenId, address owner);
    /// @notice Tokens cannot be sent to this receiver: the zero address, or a contract that does not accept them.
    error ERC721InvalidReceiver(address receiver);
    /// @notice `operator` is neither owner nor approved for `tokenId`.
    error ERC721InsufficientApproval(address operator, uint256 tokenId);
    /// @notice `approver` may not approve others for this token.
    error ERC721InvalidApprover(address approver);
    /// @notice The zero address cannot be an operator.
    error ERC721InvalidOperator(address operator);

    // ───────────────────────────── Our own errors ──────────────────────────────

    /// @notice The mint expected to start at `expected`, but the next token id is `actual`: it was mined before,
    ///         or another minter was faster. Nothing was minted.
    error UnexpectedStart(uint256 expected, uint256 actual);
    /// @notice `requested` tokens were to be minted, and only `available` are left.
    error MaxSupplyExceeded(uint256 requested, uint256 available);
    /// @notice A batch holds between 1 and 10,000 tokens.
    error InvalidQuantity(uint256 quantity);
    /// @notice A batch has a digest: zero is none.
    error InvalidDigest();
    /// @notice Minting was closed for ever.
    error MintingIsClosed();
    /// @notice Metadata was frozen for ever.
    error MetadataIsFrozen();
    /// @notice `account` is not the owner of the contract.
    error OwnableUnauthorizedAccount(address account);
    /// @notice `owner` cannot own the contract.
    error OwnableInvalidOwner(address owner);
    /// @notice `account` is neither the owner of the contract nor its minter.
    error UnauthorizedMinter(address account);
    /// @notice A constructor argument is out of its range: a name or symbol of 0 or over 31 bytes, or more
    ///         maximum supply than token ids (2^48 - 1).
    error InvalidArgument();
    /// @notice ERC-2981: more than 10,000 basis points, or a royalty without a receiver.
    error ERC2981InvalidRoyalty(address receiver, uint96 basisPoints);

    // ───────────────────────────── Events ──────────────────────────────────────

    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

    /// @notice ERC-4906: wallets fetch the metadata of these tokens again; both ends belong to the range.
    event BatchMetadataUpdate(uint256 fromTokenId, uint256 toTokenId);
    /// @notice ERC-4906: declared for its interface id; this contract changes whole batches only.
    event MetadataUpdate(uint256 tokenId);
    /// @notice ERC-7572: wallets fetch contractURI() again.
    event ContractURIUpdated();

    event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event MinterUpdated(address indexed previousMinter, address indexed newMinter);
    event MetadataFrozen();
    event MintingClosed();

    // ───────────────────────────── Minting ─────────────────────────────────────

    /// @notice Mints `quantity` tokens with the ids `expectedStart`, `expectedStart + 1`, … to `to`.
    /// @dev    Calls nothing on `to`: who mints to a contract checks beforehand that it can hold ERC-721 tokens.
    /// @param  cidDigest sha2-256 digest of the directory (CIDv1, dag-pb) with `<id>.json` for each token.
    function mintBatch(uint256 expectedStart, address to, uint256 quantity, bytes32 cidDigest) external;

    /// @notice Mints one token to each of `to`, in order, as one batch with one metadata directory.
    function airdrop(uint256 expectedStart, address[] calldata to, bytes32 cidDigest) external;

    /// @notice Ends minting for ever. Owner only.
    function close() external;

    /// @notice True once minting has ended for ever.
    function closed() external view returns (bool);

    /// @notice The id that the next token will have; 1 before the first mint.
    function nextTokenId() external view returns (uint256);

    /// @notice Number of tokens minted so far. There is no burning: it never falls.
    function totalSupply() external view returns (uint256);

    /// @notice Greatest number of tokens there can ever be; 0: no maximum.
    function maxSupply() external view returns (uint256);

    /// @notice The batch that holds `tokenId`: first and last token id (both belong to it) and metadata digest.
    function batchOf(uint256 tokenId) external view returns (uint256 start, uint256 end, bytes32 cidDigest);

    // ───────────────────────────── Metadata ────────────────────────────────────

    /// @notice Replaces the metadata directory of the batch that holds `tokenId`. Owner only, until frozen.
    function setBatchCid(uint256 tokenId, bytes32 cidDigest) external;

    /// @notice Replaces the collection's own metadata: the directory with `collection.json`. Owner only, until frozen.
    function setContractURI(bytes32 cidDigest) external;

    /// @notice Makes all metadata unchangeable for ever. Owner only. Minting goes on until `close`.
    function freeze() external;

    /// @notice True once metadata is unchangeable for ever.
    function frozen() external view returns (bool);

    /// @notice ERC-7572: `ipfs://<cid>/collection.json`, or empty.
    function contractURI() external view returns (string memory);

    // ───────────────────────────── Roles ───────────────────────────────────────

    function owner() external view returns (address);

    function pendingOwner() external view returns (address);

    /// @notice Offers the contract to `newOwner`, who becomes owner by `acceptOwnership`; the zero address withdraws the offer.
    function transferOwnership(address newOwner) external;

    function acceptOwnership() external;

    /// @notice The hot key that can mint and nothing else.
    function minter() external view returns (address);

    /// @notice Names another minter; the zero address: nobody beside the owner. Owner only.
    function setMinter(address newMinter) external;

    // ───────────────────────────── ERC-721, Metadata, ERC-165, ERC-2981 ────────

    function name() external view returns (string memory);

    function symbol() external view returns (string memory);

    /// @notice `ipfs://<cid>/<tokenId>.json`, the CID rebuilt from the batch's digest (CIDv1, dag-pb, sha2-256, base32).
    function tokenURI(uint256 tokenId) external view returns (string memory);

    function balanceOf(address account) external view returns (uint256);

    function ownerOf(uint256 tokenId) external view returns (address);

    function approve(address to, uint256 tokenId) external;

    function getApproved(uint256 tokenId) external view returns (address);

    function setApprovalForAll(address operator, bool approved) external;

    function isApprovedForAll(address account, address operator) external view returns (bool);

    function transferFrom(address from, address to, uint256 tokenId) external;

    function safeTransferFrom(address from, address to, uint256 tokenId) external;

    function safeTransferFrom(address from, address to, uint256 tokenId, bytes calldata data) external;

    function royaltyInfo(uint256 tokenId, uint256 salePrice) external view returns (address receiver, uint256 amount);

    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}
