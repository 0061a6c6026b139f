"""From seed to pixels to CID to token, and back."""

__version__ = "0.1.0"
