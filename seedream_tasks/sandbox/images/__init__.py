"""Images: drawn for tasks, stamped so that no two are alike, and damaged where a fault says so."""
