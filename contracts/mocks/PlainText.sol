// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  The text functions of Collection in plain Solidity, following the specifications word by word.
/// @dev    Oracle of the tests: it shares neither code nor shortcuts with the contract.
library PlainText {
    bytes internal constant ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

    /// @notice The CIDv1 (dag-pb, sha2-256) of a digest, as multibase base32.
    function cid(bytes32 digest) internal pure returns (string memory) {
        return string.concat("b", base32(abi.encodePacked(hex"01701220", digest)));
    }

    function tokenURI(bytes32 digest, uint256 tokenId) internal pure returns (string memory) {
        return string.concat("ipfs://", cid(digest), "/", decimal(tokenId), ".json");
    }

    function contractURI(bytes32 digest) internal pure returns (string memory) {
        return digest == 0 ? "" : string.concat("ipfs://", cid(digest), "/collection.json");
    }

    /// @notice RFC 4648 base32 in lower case, without padding: bit after bit.
    function base32(bytes memory data) internal pure returns (string memory) {
        bytes memory text = new bytes((data.length * 8 + 4) / 5);
        for (uint256 i = 0; i < text.length; ++i) {
            uint256 digit = 0;
            for (uint256 bit = 5 * i; bit < 5 * i + 5; ++bit) {
                uint256 value = bit / 8 < data.length ? (uint8(data[bit / 8]) >> (7 - bit % 8)) & 1 : 0;
                digit = 2 * digit + value;
            }
            text[i] = ALPHABET[digit];
        }
        return string(text);
    }

    function decimal(uint256 value) internal pure returns (string memory) {
        if (value < 10) return string(abi.encodePacked(bytes1(uint8(48 + value))));
        return string.concat(decimal(value / 10), decimal(value % 10));
    }
}
