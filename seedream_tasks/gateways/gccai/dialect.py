"""gccai: Seedream 4.5. Asynchronous tasks; several images in one call only with references.

Its base URL differs between copies of its document, so it must be configured. `cost` in its answers has no stated currency: it
is never billed, but what it exceeds the expected price by counts as at risk.
"""

from collections.abc import Sequence
from urllib.parse import quote

from ...core.capabilities import Capability
from ...core.jobs import Job
from ...core.money import reported
from ...core.outcomes import Fate, Finished, SubmitOutcome, TaskState, TaskStatus
from ..dialect import Balance, Dialect, Uploaded
from ..ids import id_at
from ..reading import (
    JSON,
    Unreadable,
    failed_task,
    find_task,
    made_links,
    object_at,
    seconds_at,
    text_at,
)
from .offers import ERROR_CODES, GATEWAY

_STATES = {
    "submitted": TaskState.RUNNING,
    "pending": TaskState.RUNNING,
    "queued": TaskState.RUNNING,
    "processing": TaskState.RUNNING,
    "in_progress": TaskState.RUNNING,
    "completed": TaskState.FINISHED,
    "success": TaskState.FINISHED,
    "succeeded": TaskState.FINISHED,
    "failed": TaskState.FAILED,
    "failure": TaskState.FAILED,
    "cancelled": TaskState.CANCELLED,
    "canceled": TaskState.CANCELLED,
}
_RESULTS = ("result", "results", "output")


class Gccai(Dialect):
    """The dialect."""

    name = GATEWAY
    default_base_url: str | None = None
    synchronous = False
    submit_path = "/v1/images/generations"
    error_codes = ERROR_CODES

    def encode(
        self, job: Job, row: Capability, images: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        options = job.gateway_options.get(self.name, {})
        grouped = images > 1 or options.get("sequential_image_generation") == "auto"
        body: JSON = {
            "model": options.get("model_name", row.wire_models.value[0]),
            "prompt": job.prompt,
            "size": job.ratio,
            "resolution": job.tier,
            "n": images,  # a JSON number: the document warns that quotes make it an error
            "watermark": job.watermark,
            "sequential_image_generation": "auto" if grouped else "disabled",
        }
        if grouped:
            # Never more than the slots this call covers: what it makes is charged.
            body["sequential_image_generation_options"] = {"max_images": images}
        if job.speed != "standard":
            body["optimize_prompt_options"] = {"mode": job.speed}
        if references:
            body["image_urls"] = list(references)
        return body

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        task = object_at(body, "data")
        task_id = id_at(task, "task_id", "id")
        if not task_id:
            raise Unreadable("no task_id or id")
        return SubmitOutcome(Fate.ACCEPTED, task_id=task_id, estimate_s=seconds_at(task, "estimated_time"))

    def status_path(self, task_id: str) -> str:
        return f"/v1/tasks/{quote(task_id, safe='')}?language=en"

    def read_status(self, body: JSON) -> TaskStatus:
        task, state, word = find_task(body, _STATES, inner_first=True)
        if state is TaskState.RUNNING:
            return TaskStatus(state)
        if state is TaskState.FINISHED:
            # Its currency is not stated: a figure larger than expected is only a reason for doubt.
            links = made_links(*(task.get(name) for name in _RESULTS))
            return TaskStatus(state, Finished(links, unitless=reported(task.get("cost"))))
        return failed_task(task, state, word, ERROR_CODES)

    def probe_path(self) -> str:
        return "/v1/balance"

    def read_probe(self, status: int, body: JSON) -> bool:
        return status == 200 and "remain_balance" in body

    def read_balance(self, body: JSON) -> Balance | None:
        # The currency of the balance is not stated; the credits are what the account counts in.
        left = None if body.get("unlimited_quota") else reported(body.get("remain_credits"))
        return Balance(credits=left, used_credits=reported(body.get("used_credits")))

    def upload_url(self, base_url: str) -> str | None:
        return f"{base_url}/v1/uploads/images"

    def read_upload(self, body: JSON) -> Uploaded:
        return Uploaded(text_at(body, "url"), None)


DIALECT = Gccai()
