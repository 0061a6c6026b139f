// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

// Run by scripts/check-properties, which lays crytic/properties and our contract beside this file.
import {Collection} from "ours/Collection.sol";
import {
    CryticERC721ExternalBasicProperties
} from "properties/ERC721/external/properties/ERC721ExternalBasicProperties.sol";
import {
    CryticERC721ExternalMintableProperties
} from "properties/ERC721/external/properties/ERC721ExternalMintableProperties.sol";
import {MockReceiver} from "properties/ERC721/external/util/MockReceiver.sol";
import {IERC721Internal} from "properties/ERC721/util/IERC721Internal.sol";

/// @title  The collection with the few functions more that those properties call.
contract Enumerated is Collection {
    bool public constant isMintableOrBurnable = true;

    constructor() Collection("Tests", "T", address(this), address(this), address(1), 500, 0, 0) {}

    function _customMint(address to, uint256 quantity) external {
        this.mintBatch(this.nextTokenId(), to, quantity, keccak256("metadata"));
    }

    function tokenOfOwnerByIndex(address account, uint256 index) external view returns (uint256) {
        for (uint256 id = 1; id <= this.totalSupply(); id++) {
            if (this.ownerOf(id) != account) continue;
            if (index == 0) return id;
            index--;
        }
        revert("no such token");
    }
}

/// @title  The properties, with batches of a size that a chain can mint: OpenZeppelin's loop would run out of gas as well.
contract Properties is CryticERC721ExternalBasicProperties, CryticERC721ExternalMintableProperties {
    constructor() {
        token = IERC721Internal(address(new Enumerated()));
        mockSafeReceiver = new MockReceiver(true);
        mockUnsafeReceiver = new MockReceiver(false);
        token._customMint(USER1, 7);
        token._customMint(USER2, 5);
        token._customMint(USER3, 3);
    }

    function test_ERC721_external_mintIncreasesSupply(uint256 amount) public override {
        super.test_ERC721_external_mintIncreasesSupply(amount % 20 + 1);
    }

    function test_ERC721_external_mintCreatesFreshToken(uint256 amount) public override {
        super.test_ERC721_external_mintCreatesFreshToken(amount % 20 + 1);
    }
}

/// @title  Calls the properties in random order as three token owners. Each sets `failed` where it does not hold.
contract CryticPropertiesTest {
    Properties private properties;

    function setUp() public {
        properties = new Properties();
    }

    function targetContracts() public view returns (address[] memory contracts) {
        contracts = new address[](1);
        contracts[0] = address(properties);
    }

    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](3);
        (senders[0], senders[1], senders[2]) = (address(0x10000), address(0x20000), address(0x30000));
    }

    function invariant_every_property_holds() public view {
        require(!properties.failed(), "a property does not hold");
    }
}
