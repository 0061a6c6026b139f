"""The minted collection of the verification tests, and gateways that lie."""

from __future__ import annotations

from pin.test_fetch import liar
from verify.conftest import original

__all__ = ["liar", "original"]
