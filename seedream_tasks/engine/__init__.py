"""Runs many jobs at once: admit, submit, wait, archive, on one event loop."""
