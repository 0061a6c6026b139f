"""A collection as files that need nothing of ours: CARs, one CSV row per token, one JSON manifest."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.after.handover import export_hashlips, export_sugar
from pipeline.after.report import fees_of, reading
from pipeline.after.transparency import transparency
from pipeline.base.errors import BadArgument
from pipeline.base.files import open_regular, whole_file, write_whole
from pipeline.base.records import hex_data
from pipeline.base.results import as_json
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger
from pipeline.pin.store import CarStore

FORMATS = ("car", "csv", "json", "transparency")
HANDED_OVER = ("hashlips", "sugar")  # layouts of other tools: they copy every image, so only who asks gets them
COLUMNS = ("token_id", "owner", "token_uri", "image", "seed", "image_sha256", "tx")


def export(workspace: Workspace, name: str | None, formats: Sequence[str], out: Path | None) -> list[Path]:
    """Write the collection in each of `formats` (car, csv, json, …, hashlips, sugar) and return the files, which are replaced when there.

    Raises BadArgument for an unknown format, Corrupt when a CAR is missing or damaged.
    """
    unknown = [form for form in formats if form not in (*FORMATS, *HANDED_OVER)]
    if unknown:
        raise BadArgument(name="--format", value=unknown[0], expected=" or ".join((*FORMATS, *HANDED_OVER)))
    with reading(workspace, name) as (ledger, collection):
        folder = out or workspace.export(collection.name)
        writers = {
            "car": _export_cars,
            "csv": _export_csv,
            "json": _export_json,
            "transparency": _export_transparency,
            "hashlips": export_hashlips,
            "sugar": export_sugar,
        }
        return [path for form in formats for path in writers[form](workspace, ledger, collection, folder)]


def _export_cars(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    store = CarStore(workspace.cars)
    written = []
    for root in ledger.collections.roots(collection.id):
        store.verify(root)
        target = folder / "car" / f"{root}.car"
        with whole_file(target) as file, open_regular(store.path(root)) as car:
            shutil.copyfileobj(car, file)
        written.append(target)
    return written


def _export_csv(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    rows = io.StringIO()
    writer = csv.DictWriter(rows, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_tokens(ledger, collection))
    target = folder / "tokens.csv"
    write_whole(target, rows.getvalue().encode())
    return [target]


def _export_json(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    manifest = {
        "name": collection.name,
        "symbol": collection.symbol,
        "description": collection.description,
        "artist": collection.artist,
        "statement": collection.statement,
        "licence": collection.licence,
        "contract": collection.contract,
        "chain_id": collection.known_chain_id,
        "genesis_hash": hex_data(collection.genesis_hash) if collection.is_placed else None,
        "owner": collection.owner if collection.is_placed else None,
        "seed": collection.seed,
        "roots": [str(root) for root in ledger.collections.roots(collection.id)],
        "fees": as_json(fees_of(ledger.journal.paid_for(collection.id))),
        "tokens": _tokens(ledger, collection),
    }
    target = folder / "collection.json"
    write_whole(target, json.dumps(manifest, indent=2, ensure_ascii=False).encode())
    return [target]


def _export_transparency(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    target = folder / "transparency.json"
    told = as_json(transparency(ledger, collection, public=True))
    write_whole(target, json.dumps(told, indent=2, ensure_ascii=False).encode())
    return [target]


def _tokens(ledger: Ledger, collection: Collection) -> list[dict[str, Any]]:
    owners = ledger.owners
    return [
        {
            "token_id": token.token_id,
            "owner": owners.owner_of(collection.id, token.token_id) or token.recipient,
            "token_uri": token.token_uri,
            "image": token.image,
            "seed": token.seed,
            "image_sha256": token.image_sha256.hex() if token.image_sha256 else None,
            "tx": hex_data(token.tx_hash) if token.tx_hash else None,
        }
        for token in ledger.tokens.of(collection.id)
    ]
