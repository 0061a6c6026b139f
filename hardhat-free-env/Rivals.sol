// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC721 as OpenZeppelinERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Enumerable} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721Enumerable.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC721A} from "erc721a/contracts/ERC721A.sol";
import {Ownable as SoladyOwnable} from "solady/src/auth/Ownable.sol";
import {ERC721 as SoladyERC721} from "solady/src/tokens/ERC721.sol";
import {LibString} from "solady/src/utils/LibString.sol";
import {PlainText} from "../contracts/mocks/PlainText.sol";

// What `scripts/bench-gas` compares Collection with. Each is written as its library's users write it.

/// @title  The contract of most tutorials: enumerable, with a URI string per token, minted one by one.
contract Tutorial is ERC721Enumerable, ERC721URIStorage, Ownable {
    uint256 private _next = 1;

    constructor(address owner_) OpenZeppelinERC721("Some art", "ART") Ownable(owner_) {}

    function safeMint(address to, string calldata uri) external onlyOwner {
        uint256 tokenId = _next++;
        _safeMint(to, tokenId);
        _setTokenURI(tokenId, uri);
    }

    function tokenURI(uint256 tokenId)
        public
        view
        override(OpenZeppelinERC721, ERC721URIStorage)
        returns (string memory)
    {
        return super.tokenURI(tokenId);
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721Enumerable, ERC721URIStorage)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }

    function _update(address to, uint256 tokenId, address auth)
        internal
        override(OpenZeppelinERC721, ERC721Enumerable)
        returns (address)
    {
        return super._update(to, tokenId, auth);
    }

    function _increaseBalance(address account, uint128 value) internal override(OpenZeppelinERC721, ERC721Enumerable) {
        super._increaseBalance(account, value);
    }
}

/// @title  OpenZeppelin's ERC-721 with one base URI for ever, minted in a loop. None of the other functions.
contract OpenZeppelinLoop is OpenZeppelinERC721, Ownable {
    uint256 private _next = 1;
    string private _base;

    constructor(address owner_, string memory base) OpenZeppelinERC721("Some art", "ART") Ownable(owner_) {
        _base = base;
    }

    function mintBatch(address to, uint256 quantity) external onlyOwner {
        uint256 start = _next;
        _next = start + quantity;
        for (uint256 i = 0; i < quantity; ++i) {
            _mint(to, start + i);
        }
    }

    function airdrop(address[] calldata to) external onlyOwner {
        uint256 start = _next;
        _next = start + to.length;
        for (uint256 i = 0; i < to.length; ++i) {
            _mint(to[i], start + i);
        }
    }

    function _baseURI() internal view override returns (string memory) {
        return _base;
    }
}

/// @title  Solady's ERC-721 with one base URI for ever, minted in a loop. None of the other functions.
contract SoladyLoop is SoladyERC721, SoladyOwnable {
    uint256 private _next = 1;
    string private _base;

    constructor(address owner_, string memory base) {
        _initializeOwner(owner_);
        _base = base;
    }

    function name() public pure override returns (string memory) {
        return "Some art";
    }

    function symbol() public pure override returns (string memory) {
        return "ART";
    }

    function tokenURI(uint256 tokenId) public view override returns (string memory) {
        if (!_exists(tokenId)) revert TokenDoesNotExist();
        return string.concat(_base, LibString.toString(tokenId));
    }

    function mintBatch(address to, uint256 quantity) external onlyOwner {
        uint256 start = _next;
        _next = start + quantity;
        for (uint256 i = 0; i < quantity; ++i) {
            _mint(to, start + i);
        }
    }

    function airdrop(address[] calldata to) external onlyOwner {
        uint256 start = _next;
        _next = start + to.length;
        for (uint256 i = 0; i < to.length; ++i) {
            _mint(to[i], start + i);
        }
    }
}

/// @title  ERC721A with one base URI for ever. None of the other functions.
contract ERC721ABare is ERC721A, SoladyOwnable {
    string private _base;

    constructor(address owner_, string memory base) ERC721A("Some art", "ART") {
        _initializeOwner(owner_);
        _base = base;
    }

    function mintBatch(address to, uint256 quantity) external onlyOwner {
        _mint(to, quantity);
    }

    function airdrop(address[] calldata to) external onlyOwner {
        for (uint256 i = 0; i < to.length; ++i) {
            _mint(to[i], 1);
        }
    }

    function _baseURI() internal view override returns (string memory) {
        return _base;
    }

    function _startTokenId() internal pure override returns (uint256) {
        return 1;
    }
}

/// @title  ERC721A with everything that Collection does: the batch is kept in the 24 free bits of a token's slot.
contract ERC721AFull is ERC721A, SoladyOwnable {
    error Refused();

    event BatchMetadataUpdate(uint256 fromTokenId, uint256 toTokenId);
    event ContractURIUpdated();
    event MinterUpdated(address indexed previousMinter, address indexed newMinter);
    event MetadataFrozen();
    event MintingClosed();

    address private immutable _royaltyReceiver;
    uint96 private immutable _royaltyBps;
    uint256 public immutable maxSupply;

    address public minter;
    uint24 private _batches;
    bool public frozen;
    bool public closed;
    bytes32 private _contractCidDigest;
    mapping(uint256 index => bytes32) private _digests;
    mapping(uint256 index => uint256) private _ends;

    constructor(
        string memory name_,
        string memory symbol_,
        address owner_,
        address minter_,
        address royaltyReceiver,
        uint96 royaltyBps,
        uint256 maxSupply_,
        bytes32 contractCidDigest
    ) ERC721A(name_, symbol_) {
        _initializeOwner(owner_);
        _royaltyReceiver = royaltyReceiver;
        _royaltyBps = royaltyBps;
        maxSupply = maxSupply_;
        if (minter_ != address(0)) minter = minter_;
        _contractCidDigest = contractCidDigest;
    }

    function mintBatch(uint256 expectedStart, address to, uint256 quantity, bytes32 cidDigest) external {
        uint256 index = _addBatch(expectedStart, quantity, cidDigest);
        _mint(to, quantity);
        _setExtraDataAt(expectedStart, uint24(index));
    }

    function airdrop(uint256 expectedStart, address[] calldata to, bytes32 cidDigest) external {
        uint256 index = _addBatch(expectedStart, to.length, cidDigest);
        for (uint256 i = 0; i < to.length; ++i) {
            _mint(to[i], 1);
            _setExtraDataAt(expectedStart + i, uint24(index));
        }
    }

    function close() external onlyOwner {
        if (closed) revert Refused();
        closed = true;
        emit MintingClosed();
    }

    function nextTokenId() external view returns (uint256) {
        return _nextTokenId();
    }

    function batchOf(uint256 tokenId) public view returns (uint256 start, uint256 end, bytes32 cidDigest) {
        uint256 index = _ownershipOf(tokenId).extraData;
        return (index == 0 ? 1 : _ends[index - 1] + 1, _ends[index], _digests[index]);
    }

    function setBatchCid(uint256 tokenId, bytes32 cidDigest) external onlyOwner {
        if (frozen || cidDigest == 0) revert Refused();
        (uint256 start, uint256 end,) = batchOf(tokenId);
        _digests[_ownershipOf(tokenId).extraData] = cidDigest;
        emit BatchMetadataUpdate(start, end);
    }

    function setContractURI(bytes32 cidDigest) external onlyOwner {
        if (frozen) revert Refused();
        _contractCidDigest = cidDigest;
        emit ContractURIUpdated();
    }

    function freeze() external onlyOwner {
        if (frozen) revert Refused();
        frozen = true;
        emit MetadataFrozen();
    }

    function setMinter(address newMinter) external onlyOwner {
        emit MinterUpdated(minter, newMinter);
        minter = newMinter;
    }

    function contractURI() external view returns (string memory) {
        return PlainText.contractURI(_contractCidDigest);
    }

    function tokenURI(uint256 tokenId) public view override returns (string memory) {
        (,, bytes32 cidDigest) = batchOf(tokenId);
        return PlainText.tokenURI(cidDigest, tokenId);
    }

    function royaltyInfo(uint256, uint256 salePrice) external view returns (address, uint256) {
        return (_royaltyReceiver, salePrice * _royaltyBps / 10_000);
    }

    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == 0x2a55205a || interfaceId == 0x49064906 || super.supportsInterface(interfaceId);
    }

    function _addBatch(uint256 expectedStart, uint256 quantity, bytes32 cidDigest) private returns (uint256 index) {
        if (msg.sender != owner() && msg.sender != minter) revert Refused();
        if (expectedStart != _nextTokenId() || closed || cidDigest == 0 || quantity > 10_000) revert Refused();
        if (maxSupply != 0 && expectedStart + quantity - 1 > maxSupply) revert Refused();
        index = _batches++;
        _digests[index] = cidDigest;
        _ends[index] = expectedStart + quantity - 1;
    }

    function _extraData(address, address, uint24 previous) internal pure override returns (uint24) {
        return previous;
    }

    function _startTokenId() internal pure override returns (uint256) {
        return 1;
    }
}
