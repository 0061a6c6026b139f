"""Every voice, by its name."""

from __future__ import annotations

from typing import Any

from pipeline.art.compose.voice import Voice
from pipeline.art.compose.voices.braid import BRAID
from pipeline.art.compose.voices.fault import FAULT
from pipeline.art.compose.voices.fold import FOLD
from pipeline.art.compose.voices.grove import GROVE
from pipeline.art.compose.voices.massif import MASSIF
from pipeline.art.compose.voices.rafter import RAFTER
from pipeline.art.compose.voices.raked import RAKED
from pipeline.art.compose.voices.town import TOWN
from pipeline.art.compose.voices.vessel import VESSEL
from pipeline.art.compose.voices.warren import WARREN

VOICES: dict[str, Voice[Any]] = {
    voice.name: voice for voice in (BRAID, RAKED, FOLD, FAULT, RAFTER, WARREN, VESSEL, TOWN, MASSIF, GROVE)
}
