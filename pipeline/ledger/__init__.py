"""All SQL: what was planned, drawn, pinned, signed, mined, and who owns it. The ledger holds intent, the chain truth."""

from pipeline.ledger.ledger import Ledger, canonical_json

__all__ = ["Ledger", "canonical_json"]
