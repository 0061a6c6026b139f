// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title  A contract that answers `onERC721Received`, and every other call, with bytes that a test has chosen.
contract Answerer {
    bool private immutable _reverts;
    bytes private _answer;

    constructor(bool reverts, bytes memory answer) {
        _reverts = reverts;
        _answer = answer;
    }

    fallback() external {
        bytes memory answer = _answer;
        bool reverts = _reverts;
        assembly {
            if reverts { revert(add(answer, 32), mload(answer)) }
            return(add(answer, 32), mload(answer))
        }
    }
}

/// @title  A receiver that remembers the call and answers as the standard says.
contract Collector {
    address public operator;
    address public from;
    uint256 public tokenId;
    bytes public data;
    address public ownerAtTheTime;

    function onERC721Received(address operator_, address from_, uint256 tokenId_, bytes calldata data_)
        external
        returns (bytes4)
    {
        (operator, from, tokenId, data) = (operator_, from_, tokenId_, data_);
        (, bytes memory answer) = msg.sender.staticcall(abi.encodeWithSignature("ownerOf(uint256)", tokenId_));
        ownerAtTheTime = abi.decode(answer, (address));
        return this.onERC721Received.selector;
    }
}

/// @title  A receiver that sends the token on while it is being received, and tries to send it a second time.
contract Boomerang {
    bool public secondTransferFailed;

    function onERC721Received(address, address from, uint256 tokenId, bytes calldata) external returns (bytes4) {
        bytes memory back =
            abi.encodeWithSignature("transferFrom(address,address,uint256)", address(this), from, tokenId);
        (bool sent,) = msg.sender.call(back);
        require(sent, "not sent back");
        (bool again,) = msg.sender.call(back);
        secondTransferFailed = !again;
        return this.onERC721Received.selector;
    }
}
