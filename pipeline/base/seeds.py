"""The seed of a token: a hash of the collection's seed, the token id and the attempt, and of nothing else."""

from __future__ import annotations

import hashlib

from pipeline.base.limits import MAX_SEED

MOST_ATTEMPTS = 1000  # that anybody looks through: more tokens than that nobody rejects one after the other


def token_seed(collection_seed: int, token_id: int, attempt: int = 0) -> int:
    """The seed of a token: 53 bits of SHA-256 over the three numbers, so that JSON readers keep it exact."""
    text = f"nft-pipeline/token-seed/v1\0{collection_seed}\0{token_id}\0{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & MAX_SEED


def attempt_of(collection_seed: int, token_id: int, seed: int) -> int | None:
    """The attempt of a token that has this seed; None where none of the first MOST_ATTEMPTS has."""
    attempts = range(MOST_ATTEMPTS)
    return next((attempt for attempt in attempts if token_seed(collection_seed, token_id, attempt) == seed), None)
