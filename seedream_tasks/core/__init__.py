"""Values and rules: what a job is, what it costs, what an answer means. No I/O, no clock, no Prefect."""
