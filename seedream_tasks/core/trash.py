"""Where pruned files wait before they are deleted: `trash/<when>/<the path they had>` below the archive."""

from datetime import UTC, datetime, timedelta

TRASH = "trash"
# How long a pruned image can be restored.
KEPT_FOR = timedelta(days=7)
_WHEN = "%Y-%m-%dT%H%M%SZ"


def trash_path(path: str, now: datetime) -> str:
    """The trash path of a file that is pruned now."""
    return f"{TRASH}/{now.astimezone(UTC).strftime(_WHEN)}/{path}"


def path_before(path: str) -> str | None:
    """The original path of a file in the trash; None for any other file."""
    parts = path.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == TRASH else None


def is_due(path: str, now: datetime) -> bool:
    """Whether a file has been in the trash long enough to delete; never for a folder that is not ours."""
    try:
        since = datetime.strptime(path.split("/", 2)[1], _WHEN).replace(tzinfo=UTC)
    except (ValueError, IndexError):
        return False
    return now - since >= KEPT_FOR
