// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ICollection} from "contracts/ICollection.sol";
import {PlainText} from "contracts/mocks/PlainText.sol";
import {Test} from "./Test.sol";

/// @title  Names, symbols and URIs, compared with the plain Solidity of PlainText.
contract TextTest is Test {
    function test_TokenURI_IsTheOneOfAKnownDigest() public {
        // sha2-256 of the empty UnixFS directory: its CID is known to everybody who uses IPFS.
        bytes32 empty = 0x59948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef;
        ICollection collection = deploy(UNLIMITED);
        vm.prank(OWNER);
        collection.mintBatch(1, ALICE, 1, empty);
        vm.assertEq(
            collection.tokenURI(1),
            "ipfs://bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354/1.json",
            "URI in the empty directory"
        );
    }

    function testFuzz_TokenURI(bytes32 digest, uint256 quantity, uint256 tokenId) public {
        vm.assume(digest != 0);
        quantity = bound(quantity, 1, 300);
        tokenId = bound(tokenId, 1, quantity);
        ICollection collection = deploy(UNLIMITED);
        vm.prank(OWNER);
        collection.mintBatch(1, ALICE, quantity, digest);
        vm.assertEq(collection.tokenURI(tokenId), PlainText.tokenURI(digest, tokenId), "token URI");
    }

    /// @dev Ids far beyond what a test can mint: the supply is written into the state directly.
    function testFuzz_TokenURI_OfLargeIds(uint48 start, bytes32 digest) public {
        vm.assume(digest != 0);
        uint256 supply = bound(start, 0, MAX_TOKEN_IDS - 2);
        ICollection collection = deploy(UNLIMITED);
        uint256 state = uint256(vm.load(address(collection), 0));
        vm.store(address(collection), 0, bytes32(state | supply << 160));
        vm.assertEq(collection.totalSupply(), supply, "supply was written");

        vm.prank(OWNER);
        collection.mintBatch(supply + 1, ALICE, 2, digest);
        vm.assertEq(collection.tokenURI(supply + 1), PlainText.tokenURI(digest, supply + 1), "first URI");
        vm.assertEq(collection.tokenURI(supply + 2), PlainText.tokenURI(digest, supply + 2), "last URI");
    }

    function testFuzz_ContractURI(bytes32 digest) public {
        ICollection collection = deploy(UNLIMITED);
        vm.prank(OWNER);
        collection.setContractURI(digest);
        vm.assertEq(collection.contractURI(), PlainText.contractURI(digest), "contract URI");
    }

    function test_ContractURI_IsEmptyWithoutADigest() public {
        ICollection collection = deployWith(abi.encode("A", "B", OWNER, MINTER, address(0), 0, 0, bytes32(0)));
        vm.assertEq(collection.contractURI(), "", "contract URI");
    }

    /// @dev Any bytes, also such that end with zeros or are not UTF-8: they come back as they were given.
    function testFuzz_NameAndSymbol(bytes32 letters, uint256 nameLength, uint256 symbolLength) public {
        string memory name = cut(letters, bound(nameLength, 1, 31));
        string memory symbol = cut(~letters, bound(symbolLength, 1, 31));
        ICollection collection = deployWith(abi.encode(name, symbol, OWNER, MINTER, address(0), 0, 0, bytes32(0)));
        vm.assertEq(collection.name(), name, "name");
        vm.assertEq(collection.symbol(), symbol, "symbol");
    }

    /// @dev The text functions leave memory behind them as the rest of the caller needs it.
    function test_ReadsCanFollowEachOther() public {
        ICollection collection = deploy(UNLIMITED);
        mint(collection, ALICE, 12);
        string[3] memory texts = [collection.name(), collection.tokenURI(12), collection.contractURI()];
        vm.assertEq(texts[0], "Some art", "name");
        vm.assertEq(texts[1], PlainText.tokenURI(keccak256(abi.encode(uint256(1))), 12), "token URI");
        vm.assertEq(texts[2], PlainText.contractURI(DIGEST), "contract URI");
    }

    function cut(bytes32 letters, uint256 length) private pure returns (string memory) {
        bytes memory text = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            text[i] = letters[i];
        }
        return string(text);
    }
}
