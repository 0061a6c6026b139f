"""Tokens: what each was planned as, what was drawn or found for it, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.base.crash import crash_point
from pipeline.base.errors import ConstraintBroken
from pipeline.base.records import Address, Animation, Artwork, BatchPlan, Found, TokenSpec, TokenWords
from pipeline.base.seeds import token_seed
from pipeline.ledger.database import Database, Row, canonical_json
from pipeline.ledger.rows import UNDECIDED, Standing, Token, attributes_of, cid_or_none, parsed

PAGE = 1000  # tokens of one query: memory does not grow with their number

# What a token shows beside its traits: a file that existed says it in `found`, any other art source in `art`.
SHOWN = """f.suffix AS found_suffix, COALESCE(f.suffix, a.suffix, '.png') AS suffix,
           COALESCE(f.name, a.name, '') AS name, COALESCE(f.description, a.description, '') AS description,
           COALESCE(f.external_url, a.external_url, '') AS external_url,
           COALESCE(f.background_color, a.background_color, '') AS background_color,
           COALESCE(f.youtube_url, a.youtube_url, '') AS youtube_url,
           COALESCE(f.animation_url, a.animation_url, '') AS animation_url, COALESCE(a.drawn_from, '{}') AS drawn_from,
           COALESCE(f.animation, a.animation) AS animation,
           COALESCE(f.animation_sha256, a.animation_sha256) AS animation_sha256"""
BESIDE = """LEFT JOIN found f ON f.collection = t.collection AND f.token_id = t.token_id
      LEFT JOIN art a ON a.collection = t.collection AND a.token_id = t.token_id"""
_TOKENS = f"""
    SELECT t.token_id, t.seed, t.recipient, t.attempt, t.image_sha256, t.phash, t.determinism, t.attributes,
           CASE WHEN b.state = 'planned' THEN t.state ELSE b.state END AS state,
           b.images_root, b.metadata_root, b.tx_hash, b.block_number, {SHOWN},
           (SELECT s.id FROM slot s WHERE s.batch = b.id AND s.state IN ('live', 'mined', 'final')
             AND t.token_id >= s.start AND t.token_id < s.start + s.quantity) AS slot
      FROM token t JOIN batch b ON b.id = t.batch
      {BESIDE}
     WHERE t.collection = ? AND t.token_id >= ? AND t.token_id < ? ORDER BY t.token_id LIMIT ?
"""
_FOUND = """
    SELECT token_id, source, sha256, suffix, pixel_sha256, phash, name, description, attributes, external_url,
           background_color, youtube_url, animation, animation_sha256, animation_url
      FROM found WHERE collection = ? AND token_id >= ? AND token_id < ?
"""


class Tokens:
    """The tokens of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, collection: int, start: int = 1, count: int = 1 << 48) -> Iterator[Token]:
        """The collection's tokens in order, read in pages."""
        end = start + count
        while start < end:
            rows = self._db.rows(_TOKENS, (collection, start, end, PAGE))
            yield from (self._token(row) for row in rows)
            if len(rows) < PAGE:
                return
            start = rows[-1]["token_id"] + 1

    def get(self, collection: int, token_id: int) -> Token | None:
        return next(self.of(collection, token_id, 1), None)

    def last(self, collection: int) -> int | None:
        """The last token id that is planned of a collection: 0 before its first one, None where there is no such one."""
        row = self._db.row(
            "SELECT c.id, (SELECT max(token_id) FROM token t WHERE t.collection = c.id) AS last"
            " FROM collection c WHERE c.id = ?",
            (collection,),
        )
        return int(row["last"] or 0) if row else None

    def counts(self, collection: int) -> dict[str, int]:
        """How many tokens of the collection are in each state."""
        rows = self._db.rows(
            "SELECT CASE WHEN b.state = 'planned' THEN t.state ELSE b.state END AS state, count(*) AS n "
            "FROM token t JOIN batch b ON b.id = t.batch WHERE t.collection = ? GROUP BY 1",
            (collection,),
        )
        return {row["state"]: row["n"] for row in rows}

    def digests(self, collection: int) -> dict[bytes, int]:
        """Token ids by the digest of their image, for a collection's drawn or planned images."""
        rows = self._db.rows(
            "SELECT token_id, image_sha256 AS digest FROM token WHERE collection = ? AND image_sha256 IS NOT NULL "
            "UNION SELECT token_id, sha256 FROM found WHERE collection = ?",
            (collection, collection),
        )
        return {row["digest"]: row["token_id"] for row in rows}

    def hashes(self, collection: int) -> dict[int, int]:
        """The perceptual hashes of the collection's drawn tokens, by token id."""
        rows = self._db.rows(
            "SELECT token_id, phash FROM token WHERE collection = ? AND state = 'generated' AND phash IS NOT NULL",
            (collection,),
        )
        return {row["token_id"]: row["phash"] for row in rows}

    def drawn_from(self, collection: int, first: int) -> dict[int, tuple[int, int]]:
        """Attempt and seed of the collection's drawn tokens from `first` on, by token id."""
        rows = self._db.rows(
            "SELECT token_id, attempt, seed FROM token WHERE collection = ? AND token_id >= ? AND state = 'generated'",
            (collection, first),
        )
        return {row["token_id"]: (row["attempt"], row["seed"]) for row in rows}

    def plans(self, collection: int) -> list[str]:
        """What an art source planned of a collection's tokens, in their order; of those that it has something of."""
        rows = self._db.rows(
            "SELECT plan FROM art WHERE collection = ? AND plan <> '' ORDER BY token_id", (collection,)
        )
        return [row["plan"] for row in rows]

    def standing(self, collection: int) -> list[Standing]:
        """Every token of the collection, in order, as far as its picture is concerned."""
        rows = self._db.rows(
            "SELECT t.token_id, t.seed, t.attempt, t.image_sha256, b.state AS batch_state,"
            " COALESCE(a.plan, '') AS plan, COALESCE(f.suffix, a.suffix, '.png') AS suffix"
            f" FROM token t JOIN batch b ON b.id = t.batch {BESIDE} WHERE t.collection = ? ORDER BY t.token_id",
            (collection,),
        )
        return [
            Standing(
                *(row["token_id"], row["seed"], row["attempt"], row["plan"], row["batch_state"] == "planned"),
                *(row["image_sha256"], row["suffix"]),
            )
            for row in rows
        ]

    def kept(self, collection: int) -> dict[int, int]:
        """The seeds of the collection's tokens that were pinned, and so seen and not rejected, by token id."""
        rows = self._db.rows(
            "SELECT t.token_id, t.seed FROM token t JOIN batch b ON b.id = t.batch"
            " WHERE t.collection = ? AND b.state <> 'planned' AND t.state = 'generated' ORDER BY t.token_id",
            (collection,),
        )
        return {row["token_id"]: row["seed"] for row in rows}

    def rejected(self, collection: int) -> list[tuple[int, int]]:
        """Token id and attempt of each picture of the collection that somebody rejected."""
        rows = self._db.rows(
            "SELECT ref, data FROM event WHERE kind = 'token.rejected' AND ref LIKE ? ORDER BY seq",
            (f"{collection}/%",),
        )
        return [
            (int(row["ref"].partition("/")[2]), parsed(row["data"], lambda data: int(data["attempt"]))) for row in rows
        ]

    # ── of one batch ─────────────────────────────────────────────────────────────────────────────────────────

    def specs(self, plan: BatchPlan) -> list[TokenSpec]:
        rows = self._db.rows(
            "SELECT t.token_id, t.seed, t.recipient, t.attempt, COALESCE(a.plan, '') AS plan FROM token t"
            " LEFT JOIN art a ON a.collection = t.collection AND a.token_id = t.token_id"
            " WHERE t.batch = ? ORDER BY t.token_id",
            (plan.id,),
        )
        return [
            TokenSpec(row["token_id"], row["seed"], Address(row["recipient"]), row["attempt"], row["plan"])
            for row in rows
        ]

    def recipients(self, batch: int) -> list[Address]:
        """Who gets each token of a batch, in token order."""
        rows = self._db.rows("SELECT recipient FROM token WHERE batch = ? ORDER BY token_id", (batch,))
        return [Address(row["recipient"]) for row in rows]

    def drawn(self, plan: BatchPlan, image: Callable[[int], Path]) -> dict[int, Artwork]:
        """The batch's artworks that an earlier process recorded, by token id; `image(token_id)` names their files."""
        rows = self._db.rows(
            "SELECT t.token_id, t.seed, t.attempt, t.image_sha256, t.pixel_sha256, t.image_bytes, t.attributes, t.phash,"
            f" t.determinism, {SHOWN} FROM token t {BESIDE} WHERE t.batch = ? AND t.state = 'generated'",
            (plan.id,),
        )
        return {
            row["token_id"]: Artwork(
                token_id=row["token_id"],
                seed=row["seed"],
                path=image(row["token_id"]).with_suffix(row["suffix"]),
                image_sha256=row["image_sha256"],
                pixel_sha256=row["pixel_sha256"],
                image_bytes=row["image_bytes"],
                attributes=attributes_of(row["attributes"]),
                attempt=row["attempt"],
                phash=row["phash"],
                determinism=row["determinism"],
                words=_words(row),
                animation=_animation(row),
            )
            for row in rows
        }

    def are_drawn(self, run: int) -> bool:
        """Whether every token of a run was drawn, as far as is recorded."""
        return not self._db.row(
            "SELECT 1 FROM token t JOIN batch b ON b.id = t.batch WHERE b.run = ? AND t.state = 'planned'", (run,)
        )

    def found(self, plan: BatchPlan, collection: int) -> dict[int, Found]:
        """What was planned of a batch's images that existed before, by token id; empty where tokens are drawn."""
        rows = self._db.rows(_FOUND, (collection, plan.start, plan.start + plan.quantity))
        return {row["token_id"]: _found(row) for row in rows}

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def plan_found(self, collection: int, found: Mapping[int, Found]) -> None:
        """Enter the images that tokens of a new run have, by token id; inside the same `atomic` block as the run."""
        self._db.executemany(
            "INSERT INTO found (collection, token_id, source, sha256, suffix, pixel_sha256, phash, name, description, "
            "attributes, external_url, background_color, youtube_url, animation, animation_sha256, animation_url) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(collection, token_id, str(one.source), one.sha256, one.suffix, one.pixel_sha256, one.phash),
                    *(one.name, one.description, canonical_json([asdict(attribute) for attribute in one.attributes])),
                    *(one.external_url, one.background_color, one.youtube_url),
                    *(str(one.animation) if one.animation else None, one.animation_sha256, one.animation_url),
                )
                for token_id, one in found.items()
            ),
        )

    def replan_found(self, collection: int, found: Mapping[int, Found]) -> None:
        """Plan other images for tokens of unsealed batches, because their files are others now: each is taken anew."""
        with self._db.atomic():
            for token_id in found:
                self._db.execute("DELETE FROM found WHERE collection = ? AND token_id = ?", (collection, token_id))
                self._db.execute(
                    "UPDATE token SET state = 'planned', phash = NULL, determinism = NULL, image_sha256 = NULL, "
                    "pixel_sha256 = NULL, image_bytes = NULL, attributes = NULL "
                    "WHERE collection = ? AND token_id = ? AND state IN ('planned', 'generated')",
                    (collection, token_id),
                )
                self._db.log("token.replanned", f"{collection}/{token_id}")
            self.plan_found(collection, found)
        crash_point("replanned")

    def plan_art(self, collection: int, plans: Mapping[int, str]) -> None:
        """Enter what an art source planned of tokens, in words of its own; inside the same `atomic` block as the run."""
        self._db.executemany(
            "INSERT INTO art (collection, token_id, plan) VALUES (?, ?, ?)",
            ((collection, token_id, plan) for token_id, plan in plans.items()),
        )

    def replan_art(self, collection: int, plans: Mapping[int, str]) -> None:
        """Plan tokens of batches that are not sealed otherwise, by token id: each of them is made anew. All or none.

        Raises ConstraintBroken for a token that is sealed already, or not there.
        """
        with self._db.atomic():
            for token_id in plans:
                row = self._db.row(
                    "SELECT b.state FROM token t JOIN batch b ON b.id = t.batch WHERE t.collection = ? AND t.token_id = ?",
                    (collection, token_id),
                )
                if row is None or row["state"] != "planned":
                    raise ConstraintBroken(path=self._db.path, reason=f"token {token_id} is sealed, or not there")
                self._db.execute(
                    "DELETE FROM art WHERE collection = ? AND token_id = ?", (collection, token_id)
                )  # what was drawn of the old plan goes with it
                self._db.execute(
                    "UPDATE token SET state = 'planned', phash = NULL, determinism = NULL, image_sha256 = NULL, "
                    "pixel_sha256 = NULL, image_bytes = NULL, attributes = NULL WHERE collection = ? AND token_id = ?",
                    (collection, token_id),
                )
                self._db.log("token.replanned", f"{collection}/{token_id}")
            self.plan_art(collection, plans)
        crash_point("replanned")

    def place(self, batches: Iterable[BatchPlan], recipient: Address) -> None:
        """Give what is nobody's yet to somebody; inside `atomic`, and before these batches are sealed."""
        for plan in batches:
            self._db.execute(
                "UPDATE token SET recipient = ? WHERE batch = ? AND recipient = ?", (recipient, plan.id, UNDECIDED)
            )

    def record(self, collection: int, *artworks: Artwork) -> None:
        """Enter what was drawn for tokens, with the attempts and seeds that the gate let through: all of it or nothing."""
        with self._db.atomic():
            for artwork in artworks:
                self._record(collection, artwork)
        for _ in artworks:
            crash_point("artwork_recorded")

    def _record(self, collection: int, artwork: Artwork) -> None:
        self._record_words(collection, artwork)
        self._db.execute(
            "UPDATE token SET state = 'generated', seed = ?, attempt = ?, phash = ?, determinism = ?, "
            "image_sha256 = ?, pixel_sha256 = ?, image_bytes = ?, attributes = ? "
            "WHERE collection = ? AND token_id = ?",
            (
                artwork.seed,
                artwork.attempt,
                artwork.phash,
                artwork.determinism,
                artwork.image_sha256,
                artwork.pixel_sha256,
                artwork.image_bytes,
                canonical_json([asdict(attribute) for attribute in artwork.attributes]),
                collection,
                artwork.token_id,
            ),
        )

    def _record_words(self, collection: int, artwork: Artwork) -> None:
        """Enter what a token says beside its picture, unless `found` had it planned; where it says nothing no row is."""
        key = (collection, artwork.token_id)
        if self._db.row("SELECT 1 FROM found WHERE collection = ? AND token_id = ?", key):
            return
        told = _told(artwork)
        is_there = self._db.row("SELECT 1 FROM art WHERE collection = ? AND token_id = ?", key)
        if is_there or told != _SILENT:
            self._db.execute(
                f"INSERT INTO art (collection, token_id, {', '.join(told)}) VALUES (?, ?, {', '.join('?' for _ in told)}) "
                f"ON CONFLICT (collection, token_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in told)}",
                (*key, *told.values()),
            )

    def reject(self, collection: int, token_ids: Sequence[int]) -> None:
        """Have drawn tokens of unsealed batches drawn again: each is planned anew, with its next attempt."""
        seed = self._db.one("SELECT seed FROM collection WHERE id = ?", (collection,))["seed"]
        with self._db.atomic():
            for token_id in token_ids:
                token = self.get(collection, token_id)
                assert token is not None and token.state == "generated", f"token {token_id} is not drawn"
                attempt = token.attempt + 1
                self._db.execute(
                    "UPDATE token SET state = 'planned', attempt = ?, seed = ?, phash = NULL, determinism = NULL, "
                    "image_sha256 = NULL, pixel_sha256 = NULL, image_bytes = NULL, attributes = NULL "
                    "WHERE collection = ? AND token_id = ?",
                    (attempt, token_seed(seed, token_id, attempt), collection, token_id),
                )
                self._db.log("token.rejected", f"{collection}/{token_id}", attempt=token.attempt)
        crash_point("rejected")

    def _token(self, row: Row) -> Token:
        tx_hash = row["tx_hash"]
        if row["slot"] is not None:  # a split batch has several transactions: take the one that minted this token
            mined = self._db.row("SELECT hash FROM attempt WHERE slot = ? AND state = 'mined'", (row["slot"],))
            tx_hash = mined["hash"] if mined else tx_hash
        return Token(
            token_id=row["token_id"],
            seed=None if row["found_suffix"] else row["seed"],
            recipient=Address(row["recipient"]),
            state=row["state"],
            suffix=row["suffix"],
            words=_words(row),
            animation=_animation(row),
            attempt=row["attempt"],
            image_sha256=row["image_sha256"],
            phash=row["phash"],
            determinism=row["determinism"],
            attributes=attributes_of(row["attributes"]),
            images_root=cid_or_none(row["images_root"]),
            metadata_root=cid_or_none(row["metadata_root"]),
            tx_hash=tx_hash,
            block_number=row["block_number"],
        )


_SILENT: dict[str, object] = {
    "suffix": ".png",
    **dict.fromkeys(("name", "description", "external_url", "background_color", "youtube_url", "animation_url"), ""),
    "drawn_from": "{}",
    "animation": None,
    "animation_sha256": None,
}


def _told(artwork: Artwork) -> dict[str, object]:
    """The columns of `art` that an artwork fills."""
    words, animation = artwork.words, artwork.animation
    return {
        "suffix": artwork.path.suffix,
        "name": words.name,
        "description": words.description,
        "external_url": words.external_url,
        "background_color": words.background_color,
        "youtube_url": words.youtube_url,
        "animation_url": words.animation_url,
        "drawn_from": canonical_json(dict(words.drawn_from)),
        "animation": animation.suffix if animation else None,
        "animation_sha256": animation.sha256 if animation else None,
    }


def _words(row: Row) -> TokenWords:
    return TokenWords(
        name=row["name"],
        description=row["description"],
        external_url=row["external_url"],
        background_color=row["background_color"],
        youtube_url=row["youtube_url"],
        animation_url=row["animation_url"],
        drawn_from=parsed(row["drawn_from"], lambda pairs: tuple(pairs.items())),
    )


def _animation(row: Row) -> Animation | None:
    """`found` has the path of a file there, `art` only the suffix."""
    if row["animation"] is None:
        return None
    name = str(row["animation"])
    return Animation((Path(name).suffix or name).lower(), row["animation_sha256"])


def _found(row: Row) -> Found:
    return Found(
        source=Path(row["source"]),
        sha256=row["sha256"],
        suffix=row["suffix"],
        pixel_sha256=row["pixel_sha256"],
        phash=row["phash"],
        name=row["name"],
        description=row["description"],
        attributes=attributes_of(row["attributes"]),
        external_url=row["external_url"],
        background_color=row["background_color"],
        youtube_url=row["youtube_url"],
        animation=Path(row["animation"]) if row["animation"] else None,
        animation_sha256=row["animation_sha256"],
        animation_url=row["animation_url"],
    )
