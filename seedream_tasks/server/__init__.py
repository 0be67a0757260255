"""`seedream serve`: receives callbacks and notices over HTTP. It only stores; the ledger's users decide."""
