"""A run's configuration and its checks: settings, the pairing of archive and ledger, the embedded sandbox."""
