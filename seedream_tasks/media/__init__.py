"""References in, pictures out: read, check, store."""
