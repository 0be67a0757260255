"""What is uploaded in a release is what was developed here."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "try_wheel.py"


def test_the_wheel_works_where_it_is_installed() -> None:
    """Built, installed in a new environment without the checkout: version, plan of a sample, typed public names."""
    tried = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=600)
    assert tried.returncode == 0, tried.stderr
    assert "its public names are typed" in tried.stdout
