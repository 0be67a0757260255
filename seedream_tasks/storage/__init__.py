"""Where files are kept: the archive, on any fsspec store."""
