// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {DifferentialTest} from "./Differential.t.sol";
import {MintingTest} from "./Minting.t.sol";
import {PropertiesTest} from "./Properties.t.sol";
import {RolesTest} from "./Roles.t.sol";
import {TextTest} from "./Text.t.sol";
import {TransfersTest} from "./Transfers.t.sol";
import {ICollection} from "contracts/ICollection.sol";
import {Test} from "./Test.sol";
import {OnV2} from "./V2.sol";

// What holds for the first contract holds for a minimal proxy of the second, test by test.

contract DifferentialOnV2Test is DifferentialTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}

contract MintingOnV2Test is MintingTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}

contract PropertiesOnV2Test is PropertiesTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}

contract RolesOnV2Test is RolesTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}

contract TextOnV2Test is TextTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}

contract TransfersOnV2Test is TransfersTest, OnV2 {
    function deployWith(bytes memory arguments) internal override(Test, OnV2) returns (ICollection) {
        return OnV2.deployWith(arguments);
    }
}
