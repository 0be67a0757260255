"""A catalog has arrived: scanned for, announced once, taken in over HTTP."""
