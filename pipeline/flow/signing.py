"""Signing what was drawn, between draw and pin, by the process that holds the ledger: each file once.

The contract stands by then, so a credential names chain, contract and token. Signing is not reproducible, so what the
ledger holds of a picture is the digest of its signed file. Killed between file and ledger the digest does not fit: the
picture is drawn again, and signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from pipeline.art.source import Work
from pipeline.base.crash import crash_point
from pipeline.base.files import read_regular, write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.records import Artwork
from pipeline.flow.consent import Person
from pipeline.mark.certificate import Identity, open_certificate
from pipeline.mark.credential import Claims, SourceType, is_signed, read, sign
from pipeline.settings import Settings


def identity_of(config: Settings, person: Person) -> Identity | None:
    """Who signs files, by the settings; None where nobody does. Raises KeyRefused, before anything is planned."""
    path = config.mark.certificate
    return open_certificate(Path(path), ask=person.ask_password) if path else None


class Signing:
    """Puts credentials into the pictures of one run whose contract is known."""

    def __init__(self, identity: Identity, work: Work, made: SourceType) -> None:
        self._identity, self._work, self._made = identity, work, made
        self._collection = work.collection

    def signed(self, artwork: Artwork) -> Artwork:
        """The artwork with a credential of its token in its file; one that has it already is left as it is."""
        png = read_regular(artwork.path, IMAGE_BYTES)
        claims = self._claims(artwork)
        if is_signed(png) and (found := read(png)) and found.is_sound and found.claims == claims:
            return artwork
        data = sign(png, claims, self._identity)
        write_whole(artwork.path, data)
        crash_point("image_signed")
        signed = replace(artwork, image_sha256=hashlib.sha256(data).digest(), image_bytes=len(data))
        self._work.ledger.tokens.record(self._collection.id, signed)
        return signed

    def _claims(self, artwork: Artwork) -> Claims:
        run, collection = self._work.run, self._collection
        assert collection.contract is not None, "it is deployed before the first picture is pinned"
        return Claims(
            title=artwork.words.name or f"{collection.name} #{artwork.token_id}",
            chain_id=collection.chain_id,
            contract=collection.contract,
            token_id=artwork.token_id,
            seed=artwork.seed,
            renderer=run.renderer,
            weights_sha256=run.weights_sha256,
            made=self._made,
        )
