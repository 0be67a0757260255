"""`seedream serve`: what others may send us, over HTTP. It stores, and leaves every decision to the ledger's users."""
