"""Maintenance of a ledger and its archive between runs: collect, rebuild, prune, review, export."""
