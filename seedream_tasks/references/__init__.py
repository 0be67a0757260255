"""References: found, fetched from checked addresses only, read, converted."""
