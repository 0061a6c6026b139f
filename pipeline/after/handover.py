"""A collection in the layouts that other tools of the field take: HashLips' build folder, and the assets of Metaplex Sugar.

    hashlips/images/1.png   hashlips/json/1.json   hashlips/json/_metadata.json   hashlips/rarity.json
    sugar/assets/0.png      sugar/assets/0.json    sugar/assets/collection.png    sugar/assets/collection.json

Images are copied as they are pinned, from the workspace's files or else from its CARs, one at a time. Only drawn tokens are
in it. Sources: HashLips/hashlips_art_engine src/main.js, utils/rarity.js; Metaplex Sugar, "Preparing Assets".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.base.errors import BadArgument, ContentMissing
from pipeline.base.files import read_regular, write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import BY_SUFFIX
from pipeline.base.metadata import canonical_json
from pipeline.base.records import Attribute
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger
from pipeline.ledger.rows import Token
from pipeline.pin.store import CarStore


def export_hashlips(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    """Write what HashLips' engine would leave in `build/`. Raises BadArgument where nothing is drawn."""
    root, documents, traits = folder / "hashlips", list[dict[str, Any]](), Counter[tuple[str, str]]()
    for token in _drawn(ledger, collection):
        copied = _copied(workspace, collection, token, root / "images", token.token_id)
        attributes = [_attribute(one) for one in token.attributes]
        document = {
            "name": _name(collection, token),
            "description": token.words.description or collection.description,
            "image": token.image or copied[0].name,
            **({"animation_url": token.animation_uri or copied[1].name} if len(copied) > 1 else {}),
            "dna": hashlib.sha1(canonical_json(attributes), usedforsecurity=False).hexdigest(),
            "edition": token.token_id,
            "attributes": attributes,
            "compiler": "nft-pipeline",
        }
        write_whole(root / "json" / f"{token.token_id}.json", _json(document))
        documents.append(document)
        traits.update((one.trait_type, str(one.value)) for one in token.attributes)
    write_whole(root / "json" / "_metadata.json", _json(documents))
    write_whole(root / "rarity.json", _json(_rarity(traits, len(documents))))
    return [root]


def export_sugar(workspace: Workspace, ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    """Write assets as Sugar uploads them: they count from 0, and the collection is an asset, too."""
    root = folder / "sugar" / "assets"
    for number, token in enumerate(_drawn(ledger, collection)):
        files = _copied(workspace, collection, token, root, number)
        write_whole(root / f"{number}.json", _json(_asset(collection, token, files)))
    cover = collection.cover
    if cover is not None:
        data = read_regular(workspace.cover(collection.id, cover.suffix), IMAGE_BYTES)
        write_whole(root / f"collection{cover.suffix}", data)
        named = root / f"collection{cover.suffix}"
        write_whole(root / "collection.json", _json(_asset(collection, None, [named])))
    return [root]


def _asset(collection: Collection, token: Token | None, files: list[Path]) -> dict[str, Any]:
    kinds = [BY_SUFFIX[file.suffix].type for file in files]
    return {
        "name": _name(collection, token) if token else collection.name,
        "symbol": collection.symbol,
        "description": (token.words.description if token else "") or collection.description,
        "seller_fee_basis_points": collection.royalty_bps,
        "image": files[0].name,
        **({"animation_url": files[1].name} if len(files) > 1 else {}),
        "external_url": (token.words.external_url if token else "") or collection.external_url,
        "attributes": [_attribute(one) for one in token.attributes] if token else [],
        "properties": {
            "files": [{"uri": file.name, "type": kind} for file, kind in zip(files, kinds, strict=True)],
            "category": "image",
        },
    }


def _drawn(ledger: Ledger, collection: Collection) -> Iterator[Token]:
    """Tokens that have a picture. Raises BadArgument where there is none."""
    count = 0
    for token in ledger.tokens.of(collection.id):
        if token.image_sha256 is not None:
            count += 1
            yield token
    if not count:
        raise BadArgument(
            name="--format",
            value="hashlips or sugar",
            expected="a collection with a drawn token",
            hint="`pipeline status` tells how to go on",
        )


def _copied(workspace: Workspace, collection: Collection, token: Token, folder: Path, number: int) -> list[Path]:
    """Copy a token's image, and what moves beside it, under a number."""
    suffixes = [token.suffix, *([token.animation.suffix] if token.animation else [])]
    written = []
    for suffix in suffixes:
        target = folder / f"{number}{suffix}"
        write_whole(target, _data(workspace, collection, token, suffix))
        written.append(target)
    return written


def _data(workspace: Workspace, collection: Collection, token: Token, suffix: str) -> bytes:
    path = workspace.image(collection.id, token.token_id, suffix)
    if path.exists():
        return read_regular(path, IMAGE_BYTES)
    if token.images_root is None:
        raise ContentMissing(
            folder=workspace.folder, roots=f"the image of token {token.token_id}, which is not pinned yet"
        )
    return CarStore(workspace.cars).read(token.images_root, f"{token.token_id}{suffix}", IMAGE_BYTES)


def _name(collection: Collection, token: Token) -> str:
    return token.words.name or f"{collection.name} #{token.token_id}"


def _attribute(one: Attribute) -> dict[str, Any]:
    display = {"display_type": one.display_type} if one.display_type else {}
    return {"trait_type": one.trait_type, "value": one.value, **display}


def _rarity(traits: Counter[tuple[str, str]], editions: int) -> dict[str, list[dict[str, Any]]]:
    """How often each value comes, in the words of HashLips' report, the rarest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (trait, value), count in sorted(traits.items(), key=lambda entry: (entry[0][0], entry[1], entry[0][1])):
        told = f"{count} in {editions} editions ({100 * count / editions:.2f} %)"
        found.setdefault(trait, []).append({"trait": value, "count": count, "occurrence": told})
    return found


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
