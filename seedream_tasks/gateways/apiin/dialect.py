"""API in One: Seedream 4.5. Asynchronous tasks, one image a call; the thinnest document of all.

Its status body is nowhere documented, so the reader accepts every shape that its clients and its upstream are known to use.
The sub-model follows from whether there are references: text-to-image would ignore them and charge all the same.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote

from ...core.capabilities import Capability
from ...core.jobs import Job
from ...core.outcomes import Fate, Finished, SubmitOutcome, TaskState, TaskStatus
from ..dialect import Dialect
from ..ids import id_at
from ..reading import (
    JSON,
    Unreadable,
    failed_task,
    find_links,
    find_task,
    has_error,
    made_links,
    model_in,
)
from .offers import ERROR_CODES, GATEWAY

_STATES = {
    **dict.fromkeys(
        ("pending", "queued", "waiting", "queuing", "in_progress", "processing", "generating", "running"),
        TaskState.RUNNING,
    ),
    **dict.fromkeys(("completed", "success", "succeeded"), TaskState.FINISHED),
    **dict.fromkeys(("failed", "fail", "error"), TaskState.FAILED),
    **dict.fromkeys(("cancelled", "canceled"), TaskState.CANCELLED),
}
_RESULTS = ("results", "result", "result_data", "resultUrls", "output", "images", "data", "url", "urls", "image_urls")
_QUALITY = {"2K": "basic", "4K": "high"}
# A task id that cannot exist: asking for it is free and shows whether the key is good.
_MADE_UP_TASK = "seedream-tasks-key-check"


class ApiIn(Dialect):
    """The dialect."""

    name = GATEWAY
    default_base_url: str | None = "https://apiin.one"
    synchronous = False
    submit_path = "/api/v1/images/generations"
    error_codes = ERROR_CODES

    def encode(
        self, job: Job, row: Capability, images: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        text_to_image, edit = row.wire_models.value
        body: JSON = {
            "model": edit if references else text_to_image,
            "prompt": job.prompt,
            "aspect_ratio": job.ratio,
            "quality": _QUALITY[job.tier or "2K"],
        }
        if references:
            body["image_urls"] = list(references)
        if callback_url:
            body["callback_url"] = callback_url
        return body

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        for holder in (body.get("data"), body):
            if isinstance(holder, dict) and (task_id := id_at(holder, "task_id", "id", "taskId")):
                return SubmitOutcome(Fate.ACCEPTED, task_id=task_id)
        raise Unreadable("no task_id or id")

    def status_path(self, task_id: str) -> str:
        return f"/api/v1/tasks/{quote(task_id, safe='')}"

    def read_status(self, body: JSON) -> TaskStatus:
        # The status is in `data` or at the top; links may be in `data` in both cases.
        task, state, word = find_task(body, _STATES, inner_first=True)
        if state is TaskState.RUNNING:
            return TaskStatus(state)
        if state is TaskState.FINISHED:
            decoded = _decoded(task.get("resultJson"))
            # A task lists its references too: only links under the usual names are images.
            links = tuple(find_links(decoded) or find_links(task)) or made_links(decoded, *map(task.get, _RESULTS))
            return TaskStatus(state, Finished(links, model=model_in(task)))
        return failed_task(task, state, word, ERROR_CODES)

    def probe_path(self) -> str:
        return self.status_path(_MADE_UP_TASK)

    def read_probe(self, status: int, body: JSON) -> bool:
        # It has no balance endpoint: with a good key, a task that does not exist is refused in the gateway's own words.
        return (status in (400, 404) and has_error(body)) or (status == 200 and has_error(body))


DIALECT = ApiIn()


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None
