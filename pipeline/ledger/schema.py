"""The tables. Constraints do the guarding: what must never happen is an IntegrityError here.

SQL stays in the subset that PostgreSQL understands as well, but for the types' names and the triggers' syntax.
Wei are TEXT in decimal: they outgrow 64 bits. Hashes are BLOB, addresses TEXT with EIP-55 checksum, CIDs TEXT.
"""

from __future__ import annotations

APPLICATION_ID = 0x4E465450  # "NFTP": tells a ledger from any other SQLite file

V1 = """
CREATE TABLE chain (                     -- every chain this workspace has worked with
    id            INTEGER PRIMARY KEY,
    chain_id      INTEGER NOT NULL CHECK (chain_id > 0),
    genesis_hash  BLOB NOT NULL CHECK (length(genesis_hash) = 32),
    kind          TEXT NOT NULL CHECK (kind IN ('anvil', 'ganache', 'external')),  -- embedded ones by their program
    UNIQUE (chain_id, genesis_hash)
);

CREATE TABLE collection (
    id               INTEGER PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    symbol           TEXT NOT NULL,
    description      TEXT NOT NULL,
    external_url     TEXT NOT NULL,
    royalty_bps      INTEGER NOT NULL CHECK (royalty_bps BETWEEN 0 AND 10000),
    royalty_receiver TEXT NOT NULL,
    max_supply       INTEGER NOT NULL CHECK (max_supply >= 0),
    owner            TEXT NOT NULL,
    seed             INTEGER NOT NULL CHECK (seed BETWEEN 0 AND 9007199254740991),
    chain            INTEGER NOT NULL REFERENCES chain (id),
    info_root        TEXT,               -- directory behind contractURI()
    cover_root       TEXT,
    contract         TEXT,               -- known as soon as the deployment is signed
    state            TEXT NOT NULL CHECK (state IN ('planned', 'live', 'mined', 'final')),
    tx_hash          BLOB,
    block_number     INTEGER,
    block_hash       BLOB,
    UNIQUE (chain, contract)
);

CREATE TABLE run (                       -- one call of `mint`, however often it was interrupted
    id         INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection (id),
    arguments  TEXT NOT NULL,            -- canonical JSON of everything that decides what is minted
    model      TEXT NOT NULL,
    weights_sha256 TEXT NOT NULL,
    renderer   TEXT NOT NULL,
    encoder    TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size > 0),
    device     TEXT NOT NULL,
    threads    INTEGER NOT NULL CHECK (threads > 0),
    start      INTEGER NOT NULL CHECK (start >= 1),
    count      INTEGER NOT NULL CHECK (count >= 1),
    batch_size INTEGER NOT NULL CHECK (batch_size >= 1),
    pinners    TEXT NOT NULL,            -- comma-separated names
    rpc_url    TEXT NOT NULL,            -- scheme, host and port only
    state      TEXT NOT NULL CHECK (state IN ('running', 'done', 'reported')),
    started    REAL NOT NULL,
    UNIQUE (collection, start)
);
CREATE UNIQUE INDEX one_unfinished_run ON run (state) WHERE state = 'running';

CREATE TABLE root (                      -- a DAG kept as car/<cid>.car
    cid        TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    blocks     INTEGER NOT NULL CHECK (blocks > 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    car_sha256 BLOB NOT NULL CHECK (length(car_sha256) = 32)
);

CREATE TABLE pin (                       -- a root that a backend proved to hold
    root   TEXT NOT NULL REFERENCES root (cid),
    pinner TEXT NOT NULL,
    proved REAL NOT NULL,
    PRIMARY KEY (root, pinner)
);

CREATE TABLE batch (
    id            INTEGER PRIMARY KEY,
    collection    INTEGER NOT NULL REFERENCES collection (id),
    run           INTEGER NOT NULL REFERENCES run (id),
    start         INTEGER NOT NULL CHECK (start >= 1),
    quantity      INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    images_root   TEXT REFERENCES root (cid),
    metadata_root TEXT REFERENCES root (cid),
    state         TEXT NOT NULL CHECK (state IN ('planned', 'sealed', 'live', 'mined', 'final')),
    tx_hash       BLOB,                  -- NULL when adopted from the chain without its transaction
    block_number  INTEGER,
    block_hash    BLOB,
    UNIQUE (collection, start),
    CHECK (state = 'planned' OR (images_root IS NOT NULL AND metadata_root IS NOT NULL)),
    CHECK (state NOT IN ('mined', 'final') OR (block_number IS NOT NULL AND block_hash IS NOT NULL))
);
CREATE TRIGGER batch_is_planned_once BEFORE UPDATE OF collection, run, start, quantity ON batch
BEGIN SELECT RAISE(ABORT, 'a planned batch keeps its range'); END;
CREATE TRIGGER batch_is_sealed_once BEFORE UPDATE OF images_root, metadata_root ON batch
WHEN OLD.state <> 'planned'
BEGIN SELECT RAISE(ABORT, 'a sealed batch keeps its content'); END;

CREATE TABLE token (
    collection   INTEGER NOT NULL REFERENCES collection (id),
    token_id     INTEGER NOT NULL CHECK (token_id >= 1),
    batch        INTEGER NOT NULL REFERENCES batch (id),
    seed         INTEGER NOT NULL CHECK (seed BETWEEN 0 AND 9007199254740991),
    recipient    TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('planned', 'generated')),  -- from there on the batch's state tells
    image_sha256 BLOB,
    pixel_sha256 BLOB,
    image_bytes  INTEGER,
    attributes   TEXT,                   -- canonical JSON
    PRIMARY KEY (collection, token_id),
    CHECK (state = 'planned' OR (length(image_sha256) = 32 AND length(pixel_sha256) = 32 AND attributes IS NOT NULL))
);
CREATE INDEX token_by_batch ON token (batch, token_id);

CREATE TABLE slot (                      -- one nonce of one account, and what it is for
    id           INTEGER PRIMARY KEY,
    chain        INTEGER NOT NULL REFERENCES chain (id),
    sender       TEXT NOT NULL,
    nonce        INTEGER NOT NULL CHECK (nonce >= 0),
    purpose      TEXT NOT NULL CHECK (purpose IN ('deploy', 'mint', 'transfer', 'filler')),
    collection   INTEGER REFERENCES collection (id),
    batch        INTEGER REFERENCES batch (id),
    start        INTEGER,                -- the token range that this transaction mints, or the one token it transfers
    quantity     INTEGER,
    recipient    TEXT,                   -- of a transfer; its sender is the owner
    run          INTEGER REFERENCES run (id),
    state        TEXT NOT NULL CHECK (state IN ('live', 'mined', 'final', 'lost', 'reverted')),
    reserved_wei TEXT NOT NULL,          -- gas limit × fee cap of its dearest attempt
    spent_wei    TEXT,                   -- gas used × price paid, once mined
    CHECK ((purpose = 'filler') = (collection IS NULL)),
    CHECK ((purpose = 'mint') = (batch IS NOT NULL AND start IS NOT NULL AND quantity IS NOT NULL)),
    CHECK ((purpose = 'transfer') = (recipient IS NOT NULL)),
    CHECK (purpose <> 'transfer' OR (start IS NOT NULL AND quantity = 1))
);
CREATE UNIQUE INDEX one_use_of_a_nonce ON slot (chain, sender, nonce) WHERE state <> 'lost';
CREATE UNIQUE INDEX one_mint_of_a_range ON slot (collection, start)
    WHERE purpose = 'mint' AND state IN ('live', 'mined', 'final');
CREATE UNIQUE INDEX one_transfer_of_a_token ON slot (collection, start, sender)
    WHERE purpose = 'transfer' AND state = 'live';
CREATE UNIQUE INDEX one_deployment ON slot (collection)
    WHERE purpose = 'deploy' AND state IN ('live', 'mined', 'final');

CREATE TABLE attempt (                   -- one signed transaction; inserted before it is ever sent
    id           INTEGER PRIMARY KEY,
    slot         INTEGER NOT NULL REFERENCES slot (id),
    raw          BLOB NOT NULL,          -- keccak-256 of it is `hash`
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    gas          INTEGER NOT NULL CHECK (gas > 0),
    max_fee_wei  TEXT NOT NULL,
    priority_fee_wei TEXT NOT NULL,
    signed       REAL NOT NULL,
    sends        INTEGER NOT NULL DEFAULT 0,
    first_sent_block INTEGER,
    state        TEXT NOT NULL CHECK (state IN ('signed', 'sent', 'mined', 'superseded')),
    block_number INTEGER,
    block_hash   BLOB,
    gas_used     INTEGER,
    CHECK (state <> 'mined' OR (block_number IS NOT NULL AND block_hash IS NOT NULL AND gas_used IS NOT NULL))
);
CREATE INDEX attempt_by_slot ON attempt (slot, id);

CREATE TABLE transfer (                  -- the collection's Transfer events, as far as `scanned` says
    collection   INTEGER NOT NULL REFERENCES collection (id),
    block_number INTEGER NOT NULL,
    log_index    INTEGER NOT NULL,
    block_hash   BLOB NOT NULL CHECK (length(block_hash) = 32),
    tx_hash      BLOB NOT NULL CHECK (length(tx_hash) = 32),
    token_id     INTEGER NOT NULL,
    sender       TEXT NOT NULL,
    recipient    TEXT NOT NULL,
    PRIMARY KEY (collection, block_number, log_index)
);
CREATE INDEX transfer_by_token ON transfer (collection, token_id, block_number, log_index);

CREATE TABLE scanned (                   -- blocks whose hash is remembered, so that a reorg is seen
    collection   INTEGER NOT NULL REFERENCES collection (id),
    block_number INTEGER NOT NULL,
    block_hash   BLOB NOT NULL CHECK (length(block_hash) = 32),
    PRIMARY KEY (collection, block_number)
);

CREATE TABLE event (                     -- append-only; each row's hash covers the one before it
    seq       INTEGER PRIMARY KEY,
    time      REAL NOT NULL,
    kind      TEXT NOT NULL,
    ref       TEXT NOT NULL,
    data      TEXT NOT NULL,
    prev_hash BLOB NOT NULL,
    hash      BLOB NOT NULL UNIQUE
);
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""

V2 = """
ALTER TABLE token ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0);  -- drawn with, or to begin with
ALTER TABLE token ADD COLUMN phash INTEGER;            -- perceptual hash, 63 bits
ALTER TABLE token ADD COLUMN determinism TEXT CHECK (determinism IN ('A', 'B', 'C'));
ALTER TABLE run ADD COLUMN dtype TEXT NOT NULL DEFAULT 'float32';
ALTER TABLE run ADD COLUMN duplicate_bits INTEGER;     -- how near hashes of two tokens may not be; NULL: not compared
"""

V3 = """  -- a place may also only say that it has a root, or fail while enough others have it
ALTER TABLE pin RENAME COLUMN proved TO told;
ALTER TABLE pin ADD COLUMN state TEXT NOT NULL DEFAULT 'proved' CHECK (state IN ('proved', 'claimed', 'failed'));
ALTER TABLE pin ADD COLUMN reason TEXT NOT NULL DEFAULT '';
"""

V4 = """  -- jobs and bearer tokens of the HTTP service
CREATE TABLE job (
    id          INTEGER PRIMARY KEY,
    idem_key    TEXT NOT NULL UNIQUE,    -- the client's; the same key is the same job
    kind        TEXT NOT NULL CHECK (kind IN ('collection', 'mint')),
    body        TEXT NOT NULL,           -- canonical JSON of the request as it was validated
    body_sha256 BLOB NOT NULL CHECK (length(body_sha256) = 32),  -- of kind and body
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    cancelling  INTEGER NOT NULL DEFAULT 0 CHECK (cancelling IN (0, 1)),
    error       TEXT,
    hint        TEXT,
    run         INTEGER REFERENCES run (id),
    created     REAL NOT NULL,
    started     REAL,
    ended       REAL,
    CHECK ((state = 'failed') = (error IS NOT NULL)),
    CHECK (state <> 'done' OR run IS NOT NULL),
    CHECK ((state IN ('queued', 'running')) = (ended IS NULL))
);
CREATE INDEX job_by_state ON job (state, id);
CREATE TRIGGER job_is_accepted_once BEFORE UPDATE OF idem_key, kind, body, body_sha256, created ON job
BEGIN SELECT RAISE(ABORT, 'an accepted job keeps what was asked for'); END;

CREATE TABLE access_token (
    id      INTEGER PRIMARY KEY,
    label   TEXT NOT NULL,
    scope   TEXT NOT NULL CHECK (scope IN ('read', 'mint')),
    digest  BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),  -- sha2-256 of 256 random bits
    created REAL NOT NULL,
    revoked REAL
);
"""

V5 = """
CREATE TABLE found (                     -- tokens whose image existed before their run
    collection   INTEGER NOT NULL,
    token_id     INTEGER NOT NULL,
    source       TEXT NOT NULL,          -- path of the file
    sha256       BLOB NOT NULL CHECK (length(sha256) = 32),
    suffix       TEXT NOT NULL,          -- of the image's name, `.jpg`
    pixel_sha256 BLOB NOT NULL CHECK (length(pixel_sha256) = 32),
    phash        INTEGER,
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    attributes   TEXT NOT NULL,          -- canonical JSON
    video        TEXT,
    video_sha256 BLOB,
    PRIMARY KEY (collection, token_id),
    FOREIGN KEY (collection, token_id) REFERENCES token (collection, token_id),
    CHECK ((video IS NULL) = (video_sha256 IS NULL))
);
CREATE TRIGGER found_is_planned_once BEFORE UPDATE ON found
BEGIN SELECT RAISE(ABORT, 'what was planned of a file stays'); END;
"""

V6 = """  -- what moves beside an image is a video no longer alone, and a token's JSON says more than was kept
ALTER TABLE found RENAME COLUMN video TO animation;
ALTER TABLE found RENAME COLUMN video_sha256 TO animation_sha256;
ALTER TABLE found ADD COLUMN external_url TEXT NOT NULL DEFAULT '';
ALTER TABLE found ADD COLUMN background_color TEXT NOT NULL DEFAULT '';
ALTER TABLE found ADD COLUMN youtube_url TEXT NOT NULL DEFAULT '';
ALTER TABLE found ADD COLUMN animation_url TEXT NOT NULL DEFAULT '';  -- where no file is one
"""

V7 = """  -- art may come from anywhere, and be drawn before a chain is chosen
CREATE TABLE art (                       -- what an art source keeps of a token beside its picture
    collection   INTEGER NOT NULL,
    token_id     INTEGER NOT NULL,
    plan         TEXT NOT NULL DEFAULT '',  -- what it planned, in words of its own
    suffix       TEXT NOT NULL DEFAULT '.png',
    name         TEXT NOT NULL DEFAULT '',
    description  TEXT NOT NULL DEFAULT '',
    external_url TEXT NOT NULL DEFAULT '',
    background_color TEXT NOT NULL DEFAULT '',
    youtube_url  TEXT NOT NULL DEFAULT '',
    animation_url TEXT NOT NULL DEFAULT '',
    drawn_from   TEXT NOT NULL DEFAULT '{}',  -- canonical JSON: what its metadata says of its making beside the run's
    animation    TEXT,                   -- suffix of the file that moves beside the image
    animation_sha256 BLOB,
    PRIMARY KEY (collection, token_id),
    FOREIGN KEY (collection, token_id) REFERENCES token (collection, token_id),
    CHECK ((animation IS NULL) = (animation_sha256 IS NULL))
);
CREATE TRIGGER art_is_planned_once BEFORE UPDATE OF plan ON art
BEGIN SELECT RAISE(ABORT, 'what an art source planned stays'); END;
ALTER TABLE collection ADD COLUMN cover_sha256 BLOB;  -- of the cover's file, from the draw stage on
ALTER TABLE collection ADD COLUMN cover_suffix TEXT;
"""

V8 = """  -- an unfinished run can be let go of, and holds up its own collection only
ALTER TABLE run ADD COLUMN abandoned REAL;       -- when what was not minted of it was let go of
DROP INDEX one_unfinished_run;
CREATE UNIQUE INDEX one_unfinished_run ON run (collection) WHERE state = 'running';
DROP TRIGGER batch_is_planned_once;
CREATE TRIGGER batch_is_planned_once BEFORE UPDATE OF collection, run, start, quantity ON batch
WHEN NEW.collection <> OLD.collection OR NEW.run <> OLD.run OR NEW.start <> OLD.start OR NEW.quantity > OLD.quantity
BEGIN SELECT RAISE(ABORT, 'a planned batch keeps its range'); END;
"""

V9 = """  -- whose work a collection is, in whose words, and under which terms
ALTER TABLE collection ADD COLUMN artist    TEXT NOT NULL DEFAULT '';
ALTER TABLE collection ADD COLUMN statement TEXT NOT NULL DEFAULT '';
ALTER TABLE collection ADD COLUMN licence   TEXT NOT NULL DEFAULT '';  -- SPDX expression, or a page's address
"""

V10 = """  -- what people stage in the studio, over plans that nobody has pinned yet
CREATE TABLE edit (
    collection INTEGER NOT NULL REFERENCES collection (id),
    version    INTEGER NOT NULL CHECK (version >= 1),  -- of the collection's staged state: it only ever grows
    time       REAL NOT NULL,
    author     TEXT NOT NULL,
    data       TEXT NOT NULL,            -- canonical JSON: what is other than it was
    PRIMARY KEY (collection, version)
);
"""

MIGRATIONS: tuple[str, ...] = (
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
)  # index + 1 = the schema version that the script leads to
