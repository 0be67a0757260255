"""Prefect: flows, tasks and what the UI shows. Thin: no rule about money lives here."""
