"""Draft models: fit or train one, get a source."""
