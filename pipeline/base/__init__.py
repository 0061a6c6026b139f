"""The ground floor: errors, files, content identifiers, records and the words of strangers. Knows nothing of the rest."""

__version__ = "0.1.0"  # the one place: pyproject.toml reads it here
