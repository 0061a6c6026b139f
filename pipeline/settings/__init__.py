"""What can be set, and where each value came from.

A plug-in declares settings of its own by an entry point in the group `pipeline.settings`: its name is the section's, its
object a frozen dataclass over `Section` whose fields are made by `setting`.
"""

from pipeline.settings.forms import Form
from pipeline.settings.sources import Settings, every_setting, load_settings
from pipeline.settings.table import SETTINGS, Scope, Section, Setting, setting

__all__ = ["SETTINGS", "Form", "Scope", "Section", "Setting", "Settings", "every_setting", "load_settings", "setting"]
