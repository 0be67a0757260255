"""Events as Prefect's server has stored them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.settings import get_current_settings
from waiting import until


def read_events(name: str) -> list[dict[str, Any]]:
    """Every stored event of this name, oldest first."""
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    wanted = {
        "filter": {"event": {"name": [name]}, "occurred": {"since": since}, "order": "ASC"},
        "limit": 50,
    }
    answer = httpx.post(f"{get_current_settings().api.url}/events/filter", json=wanted, timeout=30)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
    return found


def events_about(name: str, count: int, **facts: Any) -> list[dict[str, Any]]:
    """The payloads of events of this name with these facts, once there are `count` of them; they are stored with a delay."""

    def found() -> list[dict[str, Any]]:
        payloads = [each["payload"] for each in read_events(name)]
        return [each for each in payloads if facts.items() <= each.items()]

    until(lambda: len(found()) >= count, f"{count} events {name}")
    return found()
