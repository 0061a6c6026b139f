"""The old names, for as long as somebody asks by them."""

from pipeline.base.words import Expected
from pipeline.settings.forms import whole
from pipeline.settings.sources import Settings as Config
from pipeline.settings.sources import load_settings as load_config
from pipeline.settings.table import SETTINGS

__all__ = ["SETTINGS", "Config", "Expected", "load_config", "whole"]
