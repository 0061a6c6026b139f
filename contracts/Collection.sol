// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "./ICollection.sol";

/// @title  What a contract implements to take part in `safeTransferFrom`.
interface IERC721Receiver {
    /// @return The selector of this function, when the token is welcome.
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4);
}

/// @title  An ERC-721 collection whose tokens are minted in batches, with one storage entry per batch.
/// @notice Signatures, events, errors and their meaning are those of ICollection.
/// @dev    A batch is two adjacent slots: [last token id | owner] and [digest of its metadata directory]. The owner of
///         a token is its own slot if it has one, which it has since its first transfer or its airdrop, and else the
///         owner of its batch, found by binary search. A lookup so costs the same at every position of a batch, and
///         grows with the logarithm of the number of batches.
contract Collection is ICollection {
    // ───────────────────────────── Types and constants ─────────────────────────

    /// @dev One storage slot, so that a mint reads and writes its rights, its start and its limits at once.
    struct State {
        address owner;
        uint48 supply; // tokens minted, and the last token id: ids start at 1 and have no gaps
        uint32 batches; // more than any chain has blocks in a lifetime
        bool frozen;
        bool closed;
    }

    /// @dev Two storage slots. The first token id is one more than the `end` of the batch before.
    struct Batch {
        uint48 end; // last token id
        address owner; // of tokens without a slot of their own; zero after an airdrop, where every token has one
        bytes32 cidDigest;
    }

    /// @dev 10,000 Transfer events need about 19.4 M gas: the block gas limit is the real bound, this one keeps
    ///      `quantity` far from every overflow.
    uint256 private constant MAX_BATCH = 10_000;
    uint256 private constant BASIS_POINTS = 10_000;

    bytes32 private constant BASE32_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

    // ───────────────────────────── Storage ─────────────────────────────────────

    /// @dev Name and symbol as Solidity stores short strings: up to 31 bytes, then the length in the last byte.
    bytes32 private immutable _name;
    bytes32 private immutable _symbol;
    address private immutable _royaltyReceiver;
    uint96 private immutable _royaltyBps;

    /// @inheritdoc ICollection
    uint256 public immutable maxSupply;

    State private _state;

    /// @inheritdoc ICollection
    address public pendingOwner;

    /// @inheritdoc ICollection
    address public minter;

    bytes32 private _contractCidDigest;

    /// @dev An array without a length: its slots follow each other, and finding one takes no hashing.
    mapping(uint256 index => Batch) private _batches;

    /// @dev Owners of the tokens that have left the owner of their batch.
    mapping(uint256 tokenId => address) private _owners;
    mapping(uint256 tokenId => address) private _approvals;
    mapping(address account => uint256) private _balances;

    /// @inheritdoc ICollection
    mapping(address account => mapping(address operator => bool)) public isApprovedForAll;

    // ───────────────────────────── Constructor ─────────────────────────────────

    /// @dev The arguments are explained in ICollection.
    constructor(
        string memory name_,
        string memory symbol_,
        address owner_,
        address minter_,
        address royaltyReceiver,
        uint96 royaltyBps,
        uint256 maxSupply_,
        bytes32 contractCidDigest
    ) {
        require(owner_ != address(0), OwnableInvalidOwner(owner_));
        require(maxSupply_ <= type(uint48).max, InvalidArgument());
        require(
            royaltyBps <= BASIS_POINTS && (royaltyBps == 0 || royaltyReceiver != address(0)),
            ERC2981InvalidRoyalty(royaltyReceiver, royaltyBps)
        );

        _name = _pack(name_);
        _symbol = _pack(symbol_);
        _royaltyReceiver = royaltyReceiver;
        _royaltyBps = royaltyBps;
        maxSupply = maxSupply_;

        _state.owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
        if (minter_ != address(0)) {
            minter = minter_;
            emit MinterUpdated(address(0), minter_);
        }
        if (contractCidDigest != 0) _contractCidDigest = contractCidDigest;
    }

    modifier onlyOwner() {
        _requireSender(_state.owner);
        _;
    }

    modifier whileNotFrozen() {
        require(!_state.frozen, MetadataIsFrozen());
        _;
    }

    // ───────────────────────────── Minting ─────────────────────────────────────

    /// @inheritdoc ICollection
    function mintBatch(uint256 expectedStart, address to, uint256 quantity, bytes32 cidDigest) external {
        require(to != address(0), ERC721InvalidReceiver(to));
        _addBatch(expectedStart, quantity, cidDigest).owner = to;

        // Cannot overflow: there are fewer than 2^48 tokens.
        unchecked {
            _balances[to] += quantity;
            for (uint256 tokenId = expectedStart; tokenId < expectedStart + quantity; ++tokenId) {
                emit Transfer(address(0), to, tokenId);
            }
        }
    }

    /// @inheritdoc ICollection
    function airdrop(uint256 expectedStart, address[] calldata to, bytes32 cidDigest) external {
        _addBatch(expectedStart, to.length, cidDigest);

        // Cannot overflow: there are fewer than 2^48 tokens.
        unchecked {
            for (uint256 i = 0; i < to.length; ++i) {
                address receiver = to[i];
                require(receiver != address(0), ERC721InvalidReceiver(receiver));
                _owners[expectedStart + i] = receiver;
                ++_balances[receiver];
                emit Transfer(address(0), receiver, expectedStart + i);
            }
        }
    }

    /// @inheritdoc ICollection
    function close() external onlyOwner {
        require(!_state.closed, MintingIsClosed());
        _state.closed = true;
        emit MintingClosed();
    }

    /// @inheritdoc ICollection
    function closed() external view returns (bool) {
        return _state.closed;
    }

    /// @inheritdoc ICollection
    function nextTokenId() external view returns (uint256) {
        return uint256(_state.supply) + 1;
    }

    /// @inheritdoc ICollection
    function totalSupply() external view returns (uint256) {
        return _state.supply;
    }

    /// @inheritdoc ICollection
    function batchOf(uint256 tokenId) external view returns (uint256 start, uint256 end, bytes32 cidDigest) {
        return _batchRange(_batchIndex(tokenId));
    }

    // ───────────────────────────── Metadata ────────────────────────────────────

    /// @inheritdoc ICollection
    function setBatchCid(uint256 tokenId, bytes32 cidDigest) external onlyOwner whileNotFrozen {
        require(cidDigest != 0, InvalidDigest());
        uint256 index = _batchIndex(tokenId);
        _batches[index].cidDigest = cidDigest;
        (uint256 start, uint256 end,) = _batchRange(index);
        emit BatchMetadataUpdate(start, end);
    }

    /// @inheritdoc ICollection
    function setContractURI(bytes32 cidDigest) external onlyOwner whileNotFrozen {
        _contractCidDigest = cidDigest;
        emit ContractURIUpdated();
    }

    /// @inheritdoc ICollection
    function freeze() external onlyOwner whileNotFrozen {
        _state.frozen = true;
        emit MetadataFrozen();
    }

    /// @inheritdoc ICollection
    function frozen() external view returns (bool) {
        return _state.frozen;
    }

    /// @inheritdoc ICollection
    function contractURI() external view returns (string memory) {
        bytes32 cidDigest = _contractCidDigest;
        return cidDigest == 0 ? "" : _ipfsURI(cidDigest, _pack("collection"));
    }

    /// @inheritdoc ICollection
    function tokenURI(uint256 tokenId) external view returns (string memory) {
        return _ipfsURI(_batches[_batchIndex(tokenId)].cidDigest, _decimal(tokenId));
    }

    /// @inheritdoc ICollection
    function name() external view returns (string memory) {
        return _unpack(_name);
    }

    /// @inheritdoc ICollection
    function symbol() external view returns (string memory) {
        return _unpack(_symbol);
    }

    // ───────────────────────────── Roles ───────────────────────────────────────

    /// @inheritdoc ICollection
    function owner() external view returns (address) {
        return _state.owner;
    }

    /// @inheritdoc ICollection
    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc ICollection
    function acceptOwnership() external {
        _requireSender(pendingOwner);
        delete pendingOwner;
        emit OwnershipTransferred(_state.owner, msg.sender);
        _state.owner = msg.sender;
    }

    /// @inheritdoc ICollection
    function setMinter(address newMinter) external onlyOwner {
        emit MinterUpdated(minter, newMinter);
        minter = newMinter;
    }

    // ───────────────────────────── ERC-721 ─────────────────────────────────────

    /// @inheritdoc ICollection
    function balanceOf(address account) external view returns (uint256) {
        require(account != address(0), ERC721InvalidOwner(account));
        return _balances[account];
    }

    /// @inheritdoc ICollection
    function ownerOf(uint256 tokenId) external view returns (address) {
        return _ownerOf(tokenId);
    }

    /// @inheritdoc ICollection
    function approve(address to, uint256 tokenId) external {
        address tokenOwner = _ownerOf(tokenId);
        require(
            msg.sender == tokenOwner || isApprovedForAll[tokenOwner][msg.sender], ERC721InvalidApprover(msg.sender)
        );
        _approvals[tokenId] = to;
        emit Approval(tokenOwner, to, tokenId);
    }

    /// @inheritdoc ICollection
    function getApproved(uint256 tokenId) external view returns (address) {
        _ownerOf(tokenId);
        return _approvals[tokenId];
    }

    /// @inheritdoc ICollection
    function setApprovalForAll(address operator, bool approved) external {
        require(operator != address(0), ERC721InvalidOperator(operator));
        isApprovedForAll[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }

    /// @inheritdoc ICollection
    function transferFrom(address from, address to, uint256 tokenId) external {
        _transfer(from, to, tokenId);
    }

    /// @inheritdoc ICollection
    function safeTransferFrom(address from, address to, uint256 tokenId) external {
        _transfer(from, to, tokenId);
        _checkReceiver(from, to, tokenId, "");
    }

    /// @inheritdoc ICollection
    function safeTransferFrom(address from, address to, uint256 tokenId, bytes calldata data) external {
        _transfer(from, to, tokenId);
        _checkReceiver(from, to, tokenId, data);
    }

    // ───────────────────────────── ERC-2981, ERC-165 ───────────────────────────

    /// @inheritdoc ICollection
    function royaltyInfo(uint256, uint256 salePrice) external view returns (address receiver, uint256 amount) {
        return (_royaltyReceiver, salePrice * _royaltyBps / BASIS_POINTS);
    }

    /// @inheritdoc ICollection
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == 0x01ffc9a7 // ERC-165
            || interfaceId == 0x80ac58cd // ERC-721
            || interfaceId == 0x5b5e139f // ERC-721 Metadata
            || interfaceId == 0x2a55205a // ERC-2981
            || interfaceId == 0x49064906; // ERC-4906
    }

    // ───────────────────────────── Internal ────────────────────────────────────

    /// @dev Checks a mint and records its batch. What is minted to whom is left to the caller.
    ///      The start is compared first: after a repeated transaction the reason is that, whatever else has changed.
    function _addBatch(uint256 expectedStart, uint256 quantity, bytes32 cidDigest) private returns (Batch storage batch) {
        uint256 supply = _state.supply;
        uint256 batches = _state.batches;
        require(msg.sender == _state.owner || msg.sender == minter, UnauthorizedMinter(msg.sender));
        unchecked {
        require(expectedStart == supply + 1, UnexpectedStart(expectedStart, supply + 1));
        require(!_state.closed, MintingIsClosed());
        require(quantity != 0 && quantity <= MAX_BATCH, InvalidQuantity(quantity));
        require(cidDigest != 0, InvalidDigest());

        uint256 available = (maxSupply == 0 ? type(uint48).max : maxSupply) - supply;
        require(quantity <= available, MaxSupplyExceeded(quantity, available));

        supply += quantity;
        batch = _batches[batches];
        batch.end = uint48(supply);
        batch.cidDigest = cidDigest;
        (_state.supply, _state.batches) = (uint48(supply), uint32(batches + 1));
        }
    }

    function _transfer(address from, address to, uint256 tokenId) private {
        require(to != address(0), ERC721InvalidReceiver(to));
        address tokenOwner = _ownerOf(tokenId);
        require(
            msg.sender == tokenOwner || isApprovedForAll[tokenOwner][msg.sender] || msg.sender == _approvals[tokenId],
            ERC721InsufficientApproval(msg.sender, tokenId)
        );
        require(from == tokenOwner, ERC721IncorrectOwner(from, tokenId, tokenOwner));

        delete _approvals[tokenId];
        _owners[tokenId] = to;
        // Cannot overflow: `from` owns a token, and there are fewer than 2^48.
        unchecked {
            --_balances[from];
            ++_balances[to];
        }
        emit Transfer(from, to, tokenId);
    }

    /// @dev Comes last, when all is written: a receiver that calls back finds the transfer done.
    function _checkReceiver(address from, address to, uint256 tokenId, bytes memory data) private {
        if (to.code.length == 0) return;
        try IERC721Receiver(to).onERC721Received(msg.sender, from, tokenId, data) returns (bytes4 answer) {
            require(answer == IERC721Receiver.onERC721Received.selector, ERC721InvalidReceiver(to));
        } catch (bytes memory reason) {
            require(reason.length != 0, ERC721InvalidReceiver(to));
            // The receiver's own reason goes up as it is.
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    /// @dev Never zero: reverts for a token that does not exist.
    function _ownerOf(uint256 tokenId) private view returns (address tokenOwner) {
        tokenOwner = _owners[tokenId];
        if (tokenOwner == address(0)) tokenOwner = _batches[_batchIndex(tokenId)].owner;
    }

    /// @dev The first batch whose end is not before `tokenId`; reverts for a token that does not exist.
    function _batchIndex(uint256 tokenId) private view returns (uint256 low) {
        require(tokenId != 0 && tokenId <= _state.supply, ERC721NonexistentToken(tokenId));
        // A token exists, so there is a batch; indices are below 2^32.
        unchecked {
            uint256 high = _state.batches - 1;
            while (low < high) {
                uint256 middle = (low + high) / 2;
                if (_batches[middle].end < tokenId) low = middle + 1;
                else high = middle;
            }
        }
    }

    function _batchRange(uint256 index) private view returns (uint256 start, uint256 end, bytes32 cidDigest) {
        Batch storage batch = _batches[index];
        unchecked { start = uint256(_batches[index - 1].end) + 1; }
        return (start, batch.end, batch.cidDigest);
    }

    /// @dev `ipfs://<cid>/<file>.json` with the CIDv1 (dag-pb, sha2-256) of a digest in lower-case base32.
    ///      Its 290 bits are: 01 70 12 20, the 256 bits of the digest, 00. The first 30 bits never change: "afybei"
    ///      after the multibase letter "b"; two zero bits of the prefix are left to lead the digest.
    function _ipfsURI(bytes32 cidDigest, bytes32 file) private pure returns (string memory) {
        unchecked {
        bytes memory uri = bytes.concat("ipfs://bafybei", bytes32(0), bytes20(0), "/", bytes(_unpack(file)), ".json");
        uint256 bits = uint256(cidDigest);
        uint256 digit = bits >> 253;
        bits <<= 3;
        for (uint256 i = 14; i < 66; ++i) {
            uri[i] = bytes1(uint8(digit + (digit < 26 ? 97 : 24)));
            digit = bits >> 251;
            bits <<= 5;
        }
        return string(uri);
        }
    }

    function _decimal(uint256 value) private pure returns (bytes32) {
        unchecked {
        uint256 digits;
        uint256 length;
        do {
            digits = (digits >> 8) | ((48 + value % 10) << 248);
            value /= 10;
            ++length;
        } while (value != 0);
        return bytes32(digits | length);
        }
    }

    function _requireSender(address expected) private view {
        require(msg.sender == expected, OwnableUnauthorizedAccount(msg.sender));
    }

    function _pack(string memory text) private pure returns (bytes32) {
        uint256 length = bytes(text).length;
        require(length != 0 && length < 32, InvalidArgument());
        return bytes32(bytes(text)) | bytes32(length);
    }

    function _unpack(bytes32 packed) private pure returns (string memory text) {
        text = new string(uint256(packed) & 31);
        assembly ("memory-safe") {
            mstore(add(text, 32), packed)
        }
    }
}
