// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "./ICollection.sol";

/// @title  What a contract implements to receive tokens by `safeTransferFrom`.
interface IERC721Receiver {
    /// @return The selector of this function, when the token is welcome.
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4);
}

/// @title  An ERC-721 collection whose tokens are minted in batches, with one storage entry per batch.
/// @notice Signatures, events, errors and their meaning are those of ICollection.
/// @dev    A token belongs to the account in its own owner slot, if it has one, and else to the owner of its batch. It
///         gets a slot of its own with its first transfer or by an airdrop. Batches are found by binary search, so a
///         token costs the same wherever it stands in its batch: minting writes nothing per token but an event.
///
///         Bytes of code are what a small collection pays for most. Where that made the code less than obvious, a
///         comment says so. The assembly is fuzzed against plain Solidity (contracts/mocks/PlainText.sol) and
///         against OpenZeppelin (receivers). Design and gas: docs/contract.md.
contract Collection is ICollection {
    // ───────────────────────────── Types and constants ─────────────────────────

    /// @dev One storage slot: a mint reads its rights, its start and its limits at once.
    struct State {
        address owner;
        uint48 supply; // tokens minted; also the last token id, as ids start at 1 and have no gaps
        uint32 batches; // its increment is checked: it reverts, it does not wrap
        bool frozen;
        bool closed;
    }

    /// @dev Two storage slots. The first token id is one more than the `end` of the batch before.
    struct Batch {
        address owner; // of the tokens without an owner slot of their own
        uint48 end; // last token id
        bytes32 cidDigest;
    }

    /// @dev The block gas limit binds earlier: 10,000 Transfer events take 19.4 M gas.
    uint256 private constant MAX_BATCH = 10_000;
    uint256 private constant BASIS_POINTS = 10_000;

    // ───────────────────────────── Storage ─────────────────────────────────────

    /// @dev Short strings as Solidity stores them: up to 31 bytes, and the length in the last byte.
    bytes32 private immutable _name;
    bytes32 private immutable _symbol;

    /// @dev Not a constant, for which the optimizer would write `_ipfsURI` into the code a second time.
    bytes32 private immutable _collectionFile = _pack("collection");

    /// @dev [receiver 160 | basis points 96]
    uint256 private immutable _royalty;

    /// @inheritdoc ICollection
    uint256 public immutable maxSupply;

    State private _state;

    /// @inheritdoc ICollection
    address public pendingOwner;

    /// @inheritdoc ICollection
    address public minter;

    bytes32 private _contractCidDigest;
    mapping(uint256 index => Batch) private _batches;

    /// @dev Of tokens that were transferred or airdropped.
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
        _royalty = uint256(uint160(royaltyReceiver)) << 96 | royaltyBps;
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
        _addBatch(expectedStart, to, quantity, cidDigest);
        require(to != address(0), ERC721InvalidReceiver(to));

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
        // Every token gets an owner slot, so the owner of the batch is never asked for. It is this contract and not
        // the zero address because, given a constant, the optimizer would write `_addBatch` into the code twice.
        _addBatch(expectedStart, address(this), to.length, cidDigest);

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
        return _batchAt(_batchIndex(tokenId));
    }

    // ───────────────────────────── Metadata ────────────────────────────────────

    /// @inheritdoc ICollection
    function setBatchCid(uint256 tokenId, bytes32 cidDigest) external onlyOwner whileNotFrozen {
        require(cidDigest != 0, InvalidDigest());
        uint256 index = _batchIndex(tokenId);
        (uint256 start, uint256 end,) = _batchAt(index);
        _batches[index].cidDigest = cidDigest;
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
    function contractURI() external view returns (string memory uri) {
        bytes32 cidDigest = _contractCidDigest;
        if (cidDigest != 0) uri = _ipfsURI(cidDigest, _collectionFile);
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
        require(_speaksFor(tokenOwner), ERC721InvalidApprover(msg.sender));
        _approvals[tokenId] = to;
        emit Approval(tokenOwner, to, tokenId);
    }

    /// @inheritdoc ICollection
    function getApproved(uint256 tokenId) external view returns (address) {
        _ownerOf(tokenId); // for its revert: the token exists
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
        return (address(uint160(_royalty >> 96)), salePrice * uint96(_royalty) / BASIS_POINTS);
    }

    /// @inheritdoc ICollection
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == 0x01ffc9a7 // ERC-165
            || interfaceId == 0x80ac58cd // ERC-721
            || interfaceId == 0x5b5e139f // ERC-721 Metadata
            || interfaceId == 0x2a55205a // ERC-2981
            || interfaceId == 0x49064906; // ERC-4906
    }

    // ───────────────────────────── Internal: state ─────────────────────────────

    /// @dev Checks a mint and records its batch; owner slots, balances and events are left to the caller.
    ///      The start is compared before all that can change between two sendings of a transaction: whoever sends one
    ///      again learns that it was mined, not that minting has been closed since.
    function _addBatch(uint256 expectedStart, address batchOwner, uint256 quantity, bytes32 cidDigest) private {
        uint256 supply = _state.supply;
        uint256 index = _state.batches;
        require(msg.sender == _state.owner || msg.sender == minter, UnauthorizedMinter(msg.sender));

        // Cannot overflow: supply is below 2^48. A quantity of zero wraps to one that is too large.
        unchecked {
            require(expectedStart == supply + 1, UnexpectedStart(expectedStart, supply + 1));
            require(!_state.closed, MintingIsClosed());
            require(quantity - 1 < MAX_BATCH, InvalidQuantity(quantity));
            require(cidDigest != 0, InvalidDigest());

            uint256 available = (maxSupply == 0 ? type(uint48).max : maxSupply) - supply;
            require(quantity <= available, MaxSupplyExceeded(quantity, available));
            supply += quantity;
        }

        Batch storage batch = _batches[index];
        (batch.owner, batch.end, batch.cidDigest) = (batchOwner, uint48(supply), cidDigest);
        _state.supply = uint48(supply);
        ++_state.batches;
    }

    function _transfer(address from, address to, uint256 tokenId) private {
        require(to != address(0), ERC721InvalidReceiver(to));
        address tokenOwner = _ownerOf(tokenId);
        require(
            _speaksFor(tokenOwner) || msg.sender == _approvals[tokenId], ERC721InsufficientApproval(msg.sender, tokenId)
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
    ///      What a receiver reverts with goes up as it is; silence and any other answer are a refusal.
    function _checkReceiver(address from, address to, uint256 tokenId, bytes memory data) private {
        if (to.code.length == 0) return;
        bytes memory call_ = abi.encodeCall(IERC721Receiver.onERC721Received, (msg.sender, from, tokenId, data));
        bytes32 answer;
        // Solidity's try would take 140 bytes of code more, and give no reason for an answer that is too short.
        assembly ("memory-safe") {
            switch call(gas(), to, 0, add(call_, 32), mload(call_), 0, 32)
            case 0 {
                if returndatasize() {
                    let reason := mload(64)
                    returndatacopy(reason, 0, returndatasize())
                    revert(reason, returndatasize())
                }
            }
            default {
                if gt(returndatasize(), 31) { answer := mload(0) }
            }
        }
        require(answer == bytes32(IERC721Receiver.onERC721Received.selector), ERC721InvalidReceiver(to));
    }

    /// @dev Never the zero address: reverts for a token that does not exist.
    function _ownerOf(uint256 tokenId) private view returns (address tokenOwner) {
        tokenOwner = _owners[tokenId];
        if (tokenOwner == address(0)) tokenOwner = _batches[_batchIndex(tokenId)].owner;
    }

    /// @dev The first batch that does not end before `tokenId`; reverts for a token that does not exist.
    function _batchIndex(uint256 tokenId) private view returns (uint256 low) {
        // Token id 0 wraps to one that is too large. Where there is a token there is a batch.
        unchecked {
            require(tokenId - 1 < _state.supply, ERC721NonexistentToken(tokenId));
            uint256 high = _state.batches - 1;
            while (low < high) {
                uint256 middle = (low + high) / 2;
                if (_batches[middle].end < tokenId) low = middle + 1;
                else high = middle;
            }
        }
    }

    function _batchAt(uint256 index) private view returns (uint256 start, uint256 end, bytes32 cidDigest) {
        Batch storage batch = _batches[index];
        // Before index 0 lies index 2^256 - 1, which is empty and so ends at 0.
        unchecked {
            start = uint256(_batches[index - 1].end) + 1;
        }
        return (start, batch.end, batch.cidDigest);
    }

    function _speaksFor(address tokenOwner) private view returns (bool) {
        return msg.sender == tokenOwner || isApprovedForAll[tokenOwner][msg.sender];
    }

    function _requireSender(address expected) private view {
        require(msg.sender == expected, OwnableUnauthorizedAccount(msg.sender));
    }

    // ───────────────────────────── Internal: text ──────────────────────────────

    /// @dev `ipfs://<cid>/<file>.json` with the CIDv1 (dag-pb, sha2-256) of a digest in lower-case base32.
    ///      A CID has the bits of 01 70 12 20, of the digest, and 00 to fill the last digit. The first 30 of its 290
    ///      bits make "afybei" after the multibase letter "b"; the two zeros left of the prefix lead the digest, so
    ///      that 3, 50 × 5 and 3 bits of it make the other 52 digits.
    function _ipfsURI(bytes32 cidDigest, bytes32 file) private pure returns (string memory uri) {
        assembly ("memory-safe") {
            uri := mload(64)
            mstore(add(uri, 32), "ipfs://bafybei")
            let cursor := add(uri, 46)
            let digit := shr(253, cidDigest)
            let bits := shl(3, cidDigest)
            for { let end := add(cursor, 52) } lt(cursor, end) { cursor := add(cursor, 1) } {
                mstore8(cursor, byte(digit, "abcdefghijklmnopqrstuvwxyz234567"))
                digit := shr(251, bits)
                bits := shl(5, bits)
            }
            mstore8(cursor, 0x2f) // a slash
            mstore(add(cursor, 1), file)
            cursor := add(cursor, and(file, 31))
            mstore(add(cursor, 1), ".json")
            mstore(uri, sub(cursor, add(uri, 26))) // cursor is 6 before the end of the text, which starts at uri + 32
            mstore(64, add(cursor, 33))
        }
    }

    /// @dev The decimal digits of a token id as a packed string: 2^48 has 15.
    function _decimal(uint256 tokenId) private pure returns (bytes32) {
        unchecked {
            uint256 digits = 0;
            uint256 length = 0;
            do {
                digits = (digits >> 8) | ((0x30 + tokenId % 10) << 248);
                tokenId /= 10;
                ++length;
            } while (tokenId != 0);
            return bytes32(digits | length);
        }
    }

    /// @dev See `_name`. Bytes after the end of a string in memory may be anything, which is why `bytes32(bytes)` is
    ///      used: it cuts them off.
    function _pack(string memory text) private pure returns (bytes32) {
        uint256 length = bytes(text).length;
        require(length != 0 && length < 32, InvalidArgument());
        return bytes32(bytes(text)) | bytes32(length);
    }

    /// @dev A string in memory may be followed by anything: the length in the last byte can stay where it is.
    function _unpack(bytes32 packed) private pure returns (string memory text) {
        assembly ("memory-safe") {
            text := mload(64)
            mstore(64, add(text, 64))
            mstore(text, and(packed, 31))
            mstore(add(text, 32), packed)
        }
    }
}
