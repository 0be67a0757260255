"""`python -m seedream_tasks.sandbox`: the same command as `seedream sandbox`, without loading anything else."""

from seedream_tasks.sandbox.command import sandbox

if __name__ == "__main__":
    sandbox(prog_name="seedream sandbox")
