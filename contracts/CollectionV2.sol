// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "./ICollection.sol";
import {ICollectionV2, Licence} from "./ICollectionV2.sol";

/// @title  What a contract implements to receive tokens by `safeTransferFrom`.
interface IERC721Receiver {
    /// @return The selector of this function, when the token is welcome.
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4);
}

/// @title  ERC-721-C: who may forbid a transfer.
interface ITransferValidator {
    /// @notice Reverts for a transfer that it does not allow.
    function validateTransfer(address caller, address from, address to, uint256 tokenId) external view;
}

/// @title  An ERC-721 collection that is minted in batches and sold in lots.
/// @notice Signatures, events, errors and their meaning are those of ICollection and ICollectionV2.
/// @dev    The successor of Collection.sol: the same batches, the same text, the same checks in the same order. What is
///         new: lots, the publisher, licence and transfer validation, and that it is made by a factory. This code is put
///         on a chain once. A collection is either a minimal proxy of it or a copy of it (cheaper to use, dearer to
///         make); in both the terms stand at the end of the collection's own code, where `_argument` reads them: an
///         immutable would be the same for all proxies, and a storage slot costs 22,100 gas where 32 bytes of code cost
///         6,400. Design and gas: docs/contract.md.
contract CollectionV2 is ICollectionV2 {
    // ───────────────────────────── Types and constants ─────────────────────────

    enum Minting {
        Open,
        Lot, // one is open, or has sold tokens that are not published: no batch can be added
        Closed // for ever
    }

    /// @dev One storage slot: a mint reads its rights, its start and its limits at once.
    struct State {
        address owner;
        uint48 supply; // tokens minted; also the last token id, as ids start at 1 and have no gaps
        uint32 batches; // its increment is checked: it reverts, it does not wrap
        bool frozen;
        Minting minting;
    }

    /// @dev Two storage slots. The first token id is one more than the `end` of the batch before. The last batch of an
    ///      open lot ends after the supply.
    struct Batch {
        address owner; // of the tokens without an owner slot of their own
        uint48 end; // last token id
        bytes32 cidDigest;
    }

    /// @dev One storage slot: a purchase reads its rights and its limit at once. Open while `end` is above the supply.
    struct Lot {
        address seller;
        uint48 end; // last token id
        uint48 published; // the last token id with metadata of its own
    }

    /// @dev The block gas limit binds earlier: 10,000 Transfer events take 19.4 M gas.
    uint256 private constant MAX_BATCH = 10_000;
    uint256 private constant BASIS_POINTS = 10_000;

    /// @dev Says in `_minter` that the minter is no longer the one of the terms.
    uint256 private constant CHANGED = 1 << 160;
    /// @dev Says in `_contractCidDigest` that there is none, as 0 says that it is the one of the terms.
    bytes32 private constant NO_DIGEST = bytes32(uint256(1));

    // ───────────────────────────── Storage ─────────────────────────────────────

    address private immutable _factory;

    State private _state;

    /// @inheritdoc ICollection
    address public pendingOwner;

    uint256 private _minter;
    bytes32 private _contractCidDigest;
    mapping(uint256 index => Batch) private _batches;

    /// @dev Of tokens that were sold, transferred or airdropped.
    mapping(uint256 tokenId => address) private _owners;
    mapping(uint256 tokenId => address) private _approvals;
    mapping(address account => uint256) private _balances;

    /// @inheritdoc ICollection
    mapping(address account => mapping(address operator => bool)) public isApprovedForAll;

    Lot private _lot;

    /// @inheritdoc ICollectionV2
    address public publisher;

    /// @inheritdoc ICollectionV2
    address public getTransferValidator;

    // ───────────────────────────── Constructor ─────────────────────────────────

    /// @dev Of the implementation, which is nobody's: without an owner, without a minter, closed and frozen.
    constructor() {
        _factory = msg.sender;
        _minter = CHANGED;
        _state.minting = Minting.Closed;
        _state.frozen = true;
    }

    /// @inheritdoc ICollectionV2
    function initialize(address owner_, address validator, address to, uint256 quantity, bytes32 cidDigest) external {
        require(msg.sender == _factory && _state.owner == address(0), UnauthorizedFactory(msg.sender));
        _state.owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
        address minter_ = minter();
        if (minter_ != address(0)) emit MinterUpdated(address(0), minter_);
        if (validator != address(0)) _setTransferValidator(validator);
        if (quantity != 0) _mintBatch(1, to, quantity, cidDigest);
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
        _requireMinter();
        _mintBatch(expectedStart, to, quantity, cidDigest);
    }

    /// @inheritdoc ICollection
    function airdrop(uint256 expectedStart, address[] calldata to, bytes32 cidDigest) external {
        _requireMinter();
        // Every token gets an owner slot, so the owner of the batch is never asked for.
        _addBatch(expectedStart, address(this), to.length, cidDigest);
        _state.supply += uint48(to.length);

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
        require(_state.minting != Minting.Closed, MintingIsClosed());
        if (_lot.end > _state.supply) _closeLot();
        _state.minting = Minting.Closed;
        emit MintingClosed();
    }

    /// @inheritdoc ICollection
    function closed() external view returns (bool) {
        return _state.minting == Minting.Closed;
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
    function maxSupply() public view returns (uint256) {
        return uint48(uint256(_argument(64)) >> 32);
    }

    /// @inheritdoc ICollection
    function batchOf(uint256 tokenId) external view returns (uint256 start, uint256 end, bytes32 cidDigest) {
        return _batchAt(_batchIndex(tokenId));
    }

    // ───────────────────────────── Lots ────────────────────────────────────────

    /// @inheritdoc ICollectionV2
    function openLot(
        uint256 expectedStart,
        uint256 quantity,
        bytes32 cidDigest,
        address seller,
        bool placeholder,
        bytes32 commitment
    ) external onlyOwner {
        uint256 end = _addBatch(expectedStart, address(this), quantity, cidDigest);
        require(!placeholder || !_state.frozen, MetadataIsFrozen());
        _state.minting = Minting.Lot;
        _lot = Lot({seller: seller, end: uint48(end), published: uint48(placeholder ? expectedStart - 1 : end)});
        emit LotOpened(expectedStart, end, cidDigest, seller, placeholder, commitment);
    }

    /// @inheritdoc ICollectionV2
    function mint(address to, uint256 quantity) external returns (uint256 start) {
        Lot memory lot_ = _lot;
        uint256 supply = _state.supply;
        if (msg.sender != lot_.seller) _requireMinter();
        require(to != address(0), ERC721InvalidReceiver(to));

        // Cannot overflow: there are fewer than 2^48 tokens. A quantity of zero wraps to one that is too large.
        unchecked {
            uint256 available = lot_.end > supply ? lot_.end - supply : 0;
            require(quantity - 1 < available, LotExceeded(quantity, available));
            start = supply + 1;
            supply += quantity;

            _state.supply = uint48(supply);
            _balances[to] += quantity;
            for (uint256 tokenId = start; tokenId <= supply; ++tokenId) {
                _owners[tokenId] = to;
                emit Transfer(address(0), to, tokenId);
            }
        }
        if (supply == lot_.end) {
            if (lot_.published == supply) _state.minting = Minting.Open;
            emit LotClosed(supply);
        }
    }

    /// @inheritdoc ICollectionV2
    function closeLot() external onlyOwner {
        _closeLot();
    }

    /// @inheritdoc ICollectionV2
    function setSeller(address newSeller) external onlyOwner {
        require(_lot.end > _state.supply, NoOpenLot());
        _lot.seller = newSeller;
        emit SellerUpdated(newSeller);
    }

    /// @inheritdoc ICollectionV2
    function publish(uint256 expectedStart, uint256 end, bytes32 cidDigest) external {
        require(msg.sender == publisher || msg.sender == _state.owner, UnauthorizedPublisher(msg.sender));
        Lot memory lot_ = _lot;
        uint256 next = uint256(lot_.published) + 1;
        require(expectedStart == next, UnexpectedStart(expectedStart, next));
        require(cidDigest != 0, InvalidDigest());
        uint256 last = lot_.end < _state.supply ? lot_.end : _state.supply;
        require(end >= next && end <= last, NothingToPublish(end, last));

        // Nothing is added behind a lot before its sold tokens are published: its last batch is the last of all.
        uint256 index = _state.batches - 1;
        Batch storage batch = _batches[index];
        if (end == lot_.end) {
            if (_state.minting == Minting.Lot) _state.minting = Minting.Open;
        } else {
            Batch storage rest = _batches[index + 1];
            (rest.owner, rest.end, rest.cidDigest) = (address(this), lot_.end, batch.cidDigest);
            ++_state.batches;
            batch.end = uint48(end);
        }
        batch.cidDigest = cidDigest;
        _lot.published = uint48(end);
        emit BatchMetadataUpdate(expectedStart, end);
    }

    /// @inheritdoc ICollectionV2
    function lot() external view returns (address seller, uint256 end, uint256 published, bool open) {
        Lot memory lot_ = _lot;
        return (lot_.seller, lot_.end, lot_.published, lot_.end > _state.supply);
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
        _contractCidDigest = cidDigest == 0 ? NO_DIGEST : cidDigest;
        emit ContractURIUpdated();
    }

    /// @inheritdoc ICollection
    /// @dev Refused while a lot has tokens with a placeholder, sold or to be sold: they would keep it for ever.
    function freeze() external onlyOwner whileNotFrozen {
        require(_lot.published == _lot.end, TokensAreUnpublished(_lot.published));
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
        if (cidDigest == 0) cidDigest = _argument(32);
        if (cidDigest != 0 && cidDigest != NO_DIGEST) uri = _ipfsURI(cidDigest, _pack("collection"));
    }

    /// @inheritdoc ICollection
    function tokenURI(uint256 tokenId) external view returns (string memory) {
        return _ipfsURI(_batches[_batchIndex(tokenId)].cidDigest, _decimal(tokenId));
    }

    /// @inheritdoc ICollection
    function name() external view returns (string memory) {
        uint256 lengths = uint256(_argument(64));
        return _text(uint8(lengths >> 8) + 84 + uint8(lengths), uint8(lengths >> 8));
    }

    /// @inheritdoc ICollection
    function symbol() external view returns (string memory) {
        uint256 length = uint8(uint256(_argument(64)));
        return _text(84 + length, length);
    }

    /// @inheritdoc ICollectionV2
    function version() external pure returns (uint256) {
        return 2;
    }

    // ───────────────────────────── Licence ─────────────────────────────────────

    /// @inheritdoc ICollectionV2
    function getLicenseURI() external view returns (string memory) {
        Licence licence = _licence();
        if (licence == Licence.None) return "";
        // Their numbers start at 0, and have one digit.
        bytes1 digit = bytes1(uint8(0x2f + uint8(licence)));
        return string.concat("ar://zmc1WTspIhFyVY82bwfAIcIExLFH5lUcHHUN0wXg4W8/", string(abi.encodePacked(digit)));
    }

    /// @inheritdoc ICollectionV2
    function getLicenseName() external view returns (string memory) {
        Licence licence = _licence();
        if (licence == Licence.Public) return "PUBLIC";
        if (licence == Licence.Exclusive) return "EXCLUSIVE";
        if (licence == Licence.Commercial) return "COMMERCIAL";
        if (licence == Licence.CommercialNoHate) return "COMMERCIAL_NO_HATE";
        if (licence == Licence.Personal) return "PERSONAL";
        if (licence == Licence.PersonalNoHate) return "PERSONAL_NO_HATE";
        return "";
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
    function minter() public view returns (address) {
        uint256 changed = _minter;
        return address(uint160(changed == 0 ? uint256(_argument(84)) >> 96 : changed));
    }

    /// @inheritdoc ICollection
    function setMinter(address newMinter) external onlyOwner {
        emit MinterUpdated(minter(), newMinter);
        _minter = CHANGED | uint160(newMinter);
    }

    /// @inheritdoc ICollectionV2
    function setPublisher(address newPublisher) external onlyOwner {
        publisher = newPublisher;
        emit PublisherUpdated(newPublisher);
    }

    // ───────────────────────────── ERC-721-C ───────────────────────────────────

    /// @inheritdoc ICollectionV2
    function setTransferValidator(address validator) external onlyOwner {
        _setTransferValidator(validator);
    }

    /// @inheritdoc ICollectionV2
    function getTransferValidationFunction() external pure returns (bytes4 selector, bool isView) {
        return (ITransferValidator.validateTransfer.selector, true);
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
        uint256 terms = uint256(_argument(64));
        return (address(uint160(terms >> 96)), salePrice * uint16(terms >> 80) / BASIS_POINTS);
    }

    /// @inheritdoc ICollection
    function supportsInterface(bytes4 interfaceId) external view returns (bool) {
        return interfaceId == 0x01ffc9a7 // ERC-165
            || interfaceId == 0x80ac58cd // ERC-721
            || interfaceId == 0x5b5e139f // ERC-721 Metadata
            || interfaceId == 0x2a55205a // ERC-2981
            || interfaceId == 0x49064906 // ERC-4906
            || interfaceId == type(ICollectionV2).interfaceId
            || (interfaceId == this.getLicenseURI.selector ^ this.getLicenseName.selector && _licence() != Licence.None)
            || (interfaceId == 0xad0d7f6c && _validated()); // ERC-721-C
    }

    // ───────────────────────────── Internal: state ─────────────────────────────

    function _mintBatch(uint256 expectedStart, address to, uint256 quantity, bytes32 cidDigest) private {
        _state.supply = uint48(_addBatch(expectedStart, to, quantity, cidDigest));
        require(to != address(0), ERC721InvalidReceiver(to));

        // Cannot overflow: there are fewer than 2^48 tokens.
        unchecked {
            _balances[to] += quantity;
            for (uint256 tokenId = expectedStart; tokenId < expectedStart + quantity; ++tokenId) {
                emit Transfer(address(0), to, tokenId);
            }
        }
    }

    /// @dev Checks a batch or lot and records it; supply, owner slots, balances and events are left to the caller.
    ///      The start is compared before all that can change between two sendings of a transaction: whoever sends one
    ///      again learns that it was mined, not that minting has been closed since.
    function _addBatch(uint256 expectedStart, address batchOwner, uint256 quantity, bytes32 cidDigest)
        private
        returns (uint256 end)
    {
        State memory state = _state;
        uint256 supply = state.supply;
        uint256 most = maxSupply();

        // Cannot overflow: supply is below 2^48. A quantity of zero wraps to one that is too large.
        unchecked {
            require(expectedStart == supply + 1, UnexpectedStart(expectedStart, supply + 1));
            require(state.minting != Minting.Closed, MintingIsClosed());
            require(state.minting != Minting.Lot, LotIsPending());
            require(quantity - 1 < MAX_BATCH, InvalidQuantity(quantity));
            require(cidDigest != 0, InvalidDigest());

            uint256 available = (most == 0 ? type(uint48).max : most) - supply;
            require(quantity <= available, MaxSupplyExceeded(quantity, available));
            end = supply + quantity;
        }

        Batch storage batch = _batches[state.batches];
        (batch.owner, batch.end, batch.cidDigest) = (batchOwner, uint48(end), cidDigest);
        ++_state.batches;
    }

    /// @dev The lot's last batch ends with its last sold token; where it has none, it has never been.
    function _closeLot() private {
        uint48 supply = _state.supply;
        Lot storage lot_ = _lot;
        require(lot_.end > supply, NoOpenLot());

        // While a lot is open there is a batch. Before index 0 lies index 2^256 - 1, which is empty and so ends at 0.
        unchecked {
            uint256 index = _state.batches - 1;
            if (_batches[index - 1].end == supply) {
                delete _batches[index];
                _state.batches = uint32(index);
            } else {
                _batches[index].end = supply;
            }
        }
        if (lot_.published >= supply) {
            lot_.published = supply;
            _state.minting = Minting.Open;
        }
        lot_.seller = address(0);
        lot_.end = supply;
        emit LotClosed(supply);
    }

    function _setTransferValidator(address validator) private {
        require(_validated(), NotValidated());
        emit TransferValidatorUpdated(getTransferValidator, validator);
        getTransferValidator = validator;
    }

    function _transfer(address from, address to, uint256 tokenId) private {
        require(to != address(0), ERC721InvalidReceiver(to));
        address tokenOwner = _ownerOf(tokenId);
        require(
            _speaksFor(tokenOwner) || msg.sender == _approvals[tokenId], ERC721InsufficientApproval(msg.sender, tokenId)
        );
        require(from == tokenOwner, ERC721IncorrectOwner(from, tokenId, tokenOwner));
        if (_validated() && getTransferValidator != address(0)) {
            // A view: it can refuse, and do nothing else.
            ITransferValidator(getTransferValidator).validateTransfer(msg.sender, from, to, tokenId);
        }

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

    function _requireMinter() private view {
        require(msg.sender == _state.owner || msg.sender == minter(), UnauthorizedMinter(msg.sender));
    }

    // ───────────────────────────── Internal: terms ─────────────────────────────

    /// @dev What stands behind the code, from its end: 32 bytes digest of collection.json; 20 royalty receiver, 2 basis
    ///      points, 6 maximum supply, 1 licence, 1 validated, 1 length of the name, 1 of the symbol; 20 minter; symbol; name.
    ///      The factory writes it.
    function _argument(uint256 fromEnd) private view returns (bytes32 value) {
        assembly ("memory-safe") {
            extcodecopy(address(), 0, sub(extcodesize(address()), fromEnd), 32)
            value := mload(0)
        }
    }

    function _licence() private view returns (Licence) {
        return Licence(uint8(uint256(_argument(64)) >> 24));
    }

    function _validated() private view returns (bool) {
        return uint8(uint256(_argument(64)) >> 16) != 0;
    }

    /// @dev `length` bytes, at most 31, that start `fromEnd` bytes before the end of the code.
    function _text(uint256 fromEnd, uint256 length) private view returns (string memory) {
        bytes32 mask = bytes32(type(uint256).max << (256 - 8 * length));
        return _unpack((_argument(fromEnd) & mask) | bytes32(length));
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

    /// @dev A short string as Solidity stores it: up to 31 bytes, and the length in the last byte.
    function _pack(string memory text) private pure returns (bytes32) {
        return bytes32(bytes(text)) | bytes32(bytes(text).length);
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
