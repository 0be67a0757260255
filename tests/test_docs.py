"""The documentation is held to the code."""

import re
from pathlib import Path

from seedream_tasks.core.states import RETRY_OPENS, AttemptState, RecordStatus

DOCS = Path(__file__).parent.parent / "docs"


def table(page: str, header: str) -> list[list[str]]:
    """The cells of a page's table whose header begins with that text."""
    lines = (DOCS / page).read_text("utf-8").splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(f"| {header} |")]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_states_has_every_state_with_its_record_its_future_and_its_cost() -> None:
    """Each of the ten states of an attempt stands in docs/money.md once; its record is a status that manifests have."""
    rows = table("money.md", "state of the attempt")
    words = [re.findall(r"`([a-z_]+)`", row[0])[0] for row in rows]
    assert sorted(words) == sorted(AttemptState)
    for row in rows:
        assert len(row) == 4
        assert all(row)
        assert set(re.findall(r"`([a-z_]+)`", row[1])) <= set(RecordStatus)
        assert set(re.findall(r"`([a-z_]+)`", row[1]))
        assert set(re.findall(r"--retry ([a-z]+)", row[2])) <= set(RETRY_OPENS)
