"""The ground floor: errors, files, content identifiers, records and the words of strangers. Knows nothing of the rest."""
