"""One call: what it means, what it opens, and the run that it leads to."""
