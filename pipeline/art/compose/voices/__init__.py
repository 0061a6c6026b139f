"""Every voice, by its name."""

from __future__ import annotations

from typing import Any

from pipeline.art.compose.voice import Voice
from pipeline.art.compose.voices.braid import BRAID
from pipeline.art.compose.voices.fault import FAULT
from pipeline.art.compose.voices.fold import FOLD, FOLD_1
from pipeline.art.compose.voices.grove import GROVE
from pipeline.art.compose.voices.massif import MASSIF, MASSIF_1
from pipeline.art.compose.voices.rafter import RAFTER, RAFTER_1
from pipeline.art.compose.voices.raked import RAKED
from pipeline.art.compose.voices.town import TOWN
from pipeline.art.compose.voices.vessel import VESSEL
from pipeline.art.compose.voices.warren import WARREN

VOICES: dict[str, Voice[Any]] = {
    voice.name: voice for voice in (BRAID, RAKED, FOLD, FAULT, RAFTER, WARREN, VESSEL, TOWN, MASSIF, GROVE)
}
EDITIONS: dict[str, Voice[Any]] = {voice.recorded: voice for voice in (*VOICES.values(), FOLD_1, RAFTER_1, MASSIF_1)}
"""Those too that are only in the names of collections that were begun with them, as they are recorded."""
