"""The minted collection of the verification tests, and gateways that lie."""

from __future__ import annotations

from after.verify.conftest import original
from pin.test_fetch import liar

__all__ = ["liar", "original"]
