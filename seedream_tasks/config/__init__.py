"""What a run is told, and whether it holds: settings, the pair of archive and ledger, the embedded sandbox."""
