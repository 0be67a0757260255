"""A run is a frozen file plus the ledger: its records, manifest and contact sheet."""
