"""Uploaded catalogs: scanned for, received over HTTP, and announced once."""
