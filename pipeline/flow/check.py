"""Whether a folder can be minted: all that `mint` would say of it, and nothing planned, opened or written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.art.cover import read_cover
from pipeline.art.source import Asked, open_source
from pipeline.base.errors import BadArgument, BadFiles
from pipeline.base.observer import Observer
from pipeline.flow.open import SOMEBODY
from pipeline.flow.plan import collection_settings
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found."""

    folder: Path
    tokens: int
    faults: list[tuple[str, str]]  # a file's name, and what was expected of it


def check_images(config: Settings, observer: Observer) -> Checked:
    """Read the folder of `images` as a new collection's. Raises BadArgument where there is none, or nothing in it."""
    if not config.art.images:
        raise BadArgument(name="--images", value="not given", expected="a folder of images to look at")
    source, faults = open_source(config), list[tuple[str, str]]()
    tokens = source.count(None, list) or 0
    given = config.collection.cover
    try:
        source.plan(Asked(config.art.seed or 0, 1, tokens, not given, dict, observer))
    except BadFiles as error:
        faults += error.fields["faults"]
    except BadArgument as error:
        faults.append((Path(str(error.fields["value"])).name, str(error.fields["expected"])))
    try:
        if given:
            read_cover(Path(given), "--cover")
        about = source.about()
        collection_settings(config, config.collection.name or about.name, SOMEBODY, about)
    except BadArgument as error:
        faults.append((str(error.fields["name"]), f"{error.fields['value']!r}; expected {error.fields['expected']}"))
    return Checked(Path(config.art.images).resolve(), tokens, faults)
