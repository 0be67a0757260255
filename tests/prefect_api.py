"""Prefect's API as a test asks it."""

from typing import Any

import httpx
from waiting import until


class Api:
    """The API of one server."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api", timeout=300, trust_env=False)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One call, made again while the server's database is busy: 503, nothing done."""
        answers: list[httpx.Response] = []

        def not_busy() -> bool:
            answers.append(self._http.request(method, path, json=body))
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        until(not_busy, f"an answer to {method} {path}")
        answer = answers[-1].raise_for_status()
        return answer.json() if answer.content else None
