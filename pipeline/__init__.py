"""From seed to pixels to CID to token, and back."""

from pipeline.base import __version__

__all__ = ["__version__"]
