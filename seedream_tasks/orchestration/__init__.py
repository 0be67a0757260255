"""Prefect: flows, tasks and what the UI shows. Thin: no rule about money lives here."""

from ..core.printable import clean_loggers

# Prefect logs parameters that do not validate, states with their messages, and exceptions with all that they were raised from.
clean_loggers(
    (
        "prefect.flows",
        "prefect.flow_runs",
        "prefect.task_runs",
        "prefect.flow_engine",
        "prefect.task_engine",
        "prefect.engine",
    ),
    lines=True,
)
