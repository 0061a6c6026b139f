// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  A contract that says of its one token whatever it is told to say.
/// @dev    Double for the tests of `pipeline doctor`: answers that no honest contract gives.
contract OddToken {
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event MetadataUpdate(uint256 tokenId);

    string private _uri;
    address private immutable _owner;
    mapping(bytes4 interfaceId => bool) public supportsInterface;

    constructor(string memory uri, bytes4[] memory interfaceIds, address owner) {
        _uri = uri;
        _owner = owner;
        for (uint256 i = 0; i < interfaceIds.length; ++i) {
            supportsInterface[interfaceIds[i]] = true;
        }
        if (owner != address(0)) emit Transfer(address(0), owner, 1);
    }

    function touch() external {
        emit MetadataUpdate(1);
    }

    /// @dev Also for tokens that are not there, which ERC-721 forbids.
    function tokenURI(uint256) external view returns (string memory) {
        return _uri;
    }

    function ownerOf(uint256) external view returns (address) {
        return _owner;
    }
}
