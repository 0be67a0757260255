"""EvoLink: Seedream 4.5 and 4.0, asynchronous, with a file service and callbacks."""
