"""All SQL: what was planned, drawn, pinned, signed, mined, and who owns it. The ledger holds intent, the chain truth."""

from pipeline.ledger.database import canonical_json
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.rows import (
    NOWHERE,
    UNDECIDED,
    Batch,
    Collection,
    CoverFile,
    KnownChain,
    NewCollection,
    Run,
    RunPlan,
    Token,
)

__all__ = [
    "UNDECIDED",
    "NOWHERE",
    "Batch",
    "Collection",
    "CoverFile",
    "KnownChain",
    "Ledger",
    "NewCollection",
    "Run",
    "RunPlan",
    "Token",
    "canonical_json",
]
