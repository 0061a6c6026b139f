"""Sums over a whole ledger, as metrics want them."""

from __future__ import annotations

from pipeline.ledger.database import Database


def token_counts(db: Database) -> dict[str, int]:
    """How many tokens of all collections are in each state."""
    rows = db.rows(
        "SELECT CASE WHEN b.state = 'planned' THEN t.state ELSE b.state END AS state, count(*) AS n "
        "FROM token t JOIN batch b ON b.id = t.batch GROUP BY 1"
    )
    return {row["state"]: row["n"] for row in rows}


def transaction_counts(db: Database) -> dict[str, int]:
    """How many of our transactions are in each state."""
    return {row["state"]: row["n"] for row in db.rows("SELECT state, count(*) AS n FROM slot GROUP BY state")}


def pin_counts(db: Database) -> dict[str, int]:
    """How many times a place proved that it has a root, only said so, or failed to."""
    return {row["state"]: row["n"] for row in db.rows("SELECT state, count(*) AS n FROM pin GROUP BY state")}


def gas_and_fees(db: Database) -> tuple[int, int]:
    """Gas and wei that mined transactions took."""
    gas = db.row("SELECT coalesce(sum(gas_used), 0) AS gas FROM attempt WHERE state = 'mined'")
    assert gas is not None
    spent = db.rows("SELECT spent_wei FROM slot WHERE spent_wei IS NOT NULL")
    return int(gas["gas"]), sum(int(row["spent_wei"]) for row in spent)  # wei outgrow SQL's integers


def resent(db: Database) -> int:
    """How often signed transactions were sent again."""
    row = db.row("SELECT coalesce(sum(sends - 1), 0) AS n FROM attempt WHERE sends > 1")
    assert row is not None
    return int(row["n"])
