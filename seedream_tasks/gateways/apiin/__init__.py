"""API in One: Seedream 4.5, asynchronous, one image a call."""
