"""Every voice, by its name."""

from __future__ import annotations

from typing import Any

from pipeline.art.compose.voice import Voice
from pipeline.art.compose.voices.braid import BRAID
from pipeline.art.compose.voices.raked import RAKED

VOICES: dict[str, Voice[Any]] = {voice.name: voice for voice in (BRAID, RAKED)}
