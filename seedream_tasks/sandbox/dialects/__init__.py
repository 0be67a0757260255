"""Dialects: what each gateway's documents say about requests, replies, errors and limits, one file per gateway."""
