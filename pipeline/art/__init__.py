"""Where pictures come from: drawn by a generator, or found in a folder."""
