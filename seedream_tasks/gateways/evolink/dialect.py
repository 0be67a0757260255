"""EvoLink: Seedream 4.5 and 4.0. Asynchronous tasks, charged by the images made.

Two generations of its document describe `size` for 4.5: a ratio with `quality` (the page), or a tier or pixels (the published
API reference). The ratio form is sent unless `gateway_options: {evolink: {size_form: pixels}}`.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from urllib.parse import quote

from ...core.capabilities import Capability
from ...core.jobs import Job
from ...core.money import reported
from ...core.outcomes import (
    ErrorClass,
    Fate,
    Finished,
    SubmitOutcome,
    TaskState,
    TaskStatus,
)
from ...core.preflight import prompt_for
from ...core.sizes import AUTO, pixels_for
from ..dialect import Balance, Dialect, Uploaded
from ..ids import id_at
from ..reading import (
    JSON,
    Unreadable,
    failed_task,
    find_task,
    made_links,
    model_in,
    object_at,
    read_time,
    seconds_at,
    text_at,
)
from .offers import ERROR_CODES, GATEWAY, MODEL_40

_STATES = {
    "pending": TaskState.RUNNING,
    "processing": TaskState.RUNNING,
    "completed": TaskState.FINISHED,
    "failed": TaskState.FAILED,
}
_RESULTS = ("results", "result_data", "result", "output")
# Names under which a finished task may report its charge. `credits_reserved` is a reservation and is not among them.
_CHARGED = ("credits_used", "credits_consumed", "credits_charged", "credits")
_QUOTA_REACHED = "40003"
_FILES_HOST = "https://files-api.evolink.ai"


class EvoLink(Dialect):
    """The dialect."""

    name = GATEWAY
    default_base_url: str | None = "https://api.evolink.ai"
    synchronous = False
    submit_path = "/v1/images/generations"
    error_codes = ERROR_CODES

    def encode(
        self, job: Job, row: Capability, images: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        body: JSON = {
            "model": row.wire_models.value[0],
            "prompt": prompt_for(job, row, images),
            "n": images,
            "prompt_priority": job.speed,
            **self._size(job),
        }
        if references:
            body["image_urls"] = list(references)
        if callback_url:
            body["callback_url"] = callback_url
        return body

    def _size(self, job: Job) -> JSON:
        if job.pixels:
            return {"size": job.pixels}
        ratio, tier = job.ratio or "1:1", job.tier or "2K"
        form = job.gateway_options.get(self.name, {}).get("size_form", "ratio")
        if job.model == MODEL_40 or form == "pixels":
            # A tier alone leaves the ratio to the model.
            return {"size": tier if ratio == AUTO else "{}x{}".format(*pixels_for(ratio, tier))}
        return {"size": ratio, "quality": tier}

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        task_id = id_at(body, "id")
        if not task_id:
            raise Unreadable("no id")
        info = body.get("task_info")
        return SubmitOutcome(
            Fate.ACCEPTED,
            task_id=task_id,
            estimate_s=seconds_at(info, "estimated_time") if isinstance(info, dict) else None,
            model=model_in(body),
        )

    def status_path(self, task_id: str) -> str:
        return f"/v1/tasks/{quote(task_id, safe='')}"

    def read_status(self, body: JSON) -> TaskStatus:
        task, state, word = find_task(body, _STATES)
        if state is TaskState.RUNNING:
            return TaskStatus(state)
        charge = _charge(task)
        if state is TaskState.FINISHED:
            links = made_links(*(task.get(name) for name in _RESULTS))
            return TaskStatus(state, Finished(links, credits=charge, model=model_in(task)))
        failed = failed_task(task, state, word, ERROR_CODES, None if charge is None else Finished((), credits=charge))
        # It has no word of its own for cancelled.
        cancelled = failed.error is not None and failed.error.kind is ErrorClass.CANCELLED
        return replace(failed, state=TaskState.CANCELLED) if cancelled else failed

    def probe_path(self) -> str:
        return "/v1/credits"

    def read_probe(self, status: int, body: JSON) -> bool:
        return status == 200 and isinstance(body.get("data"), dict) and "success" in body

    def read_balance(self, body: JSON) -> Balance | None:
        data = object_at(body, "data")
        owners = [data[name] for name in ("user", "token") if isinstance(data.get(name), dict)]
        left = [
            amount
            for owner in owners
            if not owner.get("unlimited_credits") and (amount := reported(owner.get("remaining_credits"))) is not None
        ]
        token = data.get("token")
        used = reported(token.get("used_credits")) if isinstance(token, dict) else None
        # A token may be limited below its user: what can be spent is the smaller of the two.
        return Balance(credits=min(left, default=None), used_credits=used)

    def upload_url(self, base_url: str) -> str | None:
        return f"{self._files(base_url)}/upload/stream"

    def _files(self, base_url: str) -> str:
        host = _FILES_HOST if base_url == self.default_base_url else f"{base_url}/files"
        return f"{host}/api/v1/files"

    def read_upload(self, body: JSON) -> Uploaded:
        data = object_at(body, "data")
        file_id = data.get("file_id")
        return Uploaded(
            text_at(data, "file_url", "download_url"),
            read_time(data.get("expires_at")),
            file_id if isinstance(file_id, str) and file_id else None,
        )

    def delete_url(self, base_url: str, file_id: str) -> str | None:
        return f"{self._files(base_url)}/{quote(file_id, safe='')}"

    def is_full(self, body: JSON) -> bool:
        return str(body.get("code")) == _QUOTA_REACHED


DIALECT = EvoLink()


def _charge(body: JSON) -> Decimal | None:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    return next((amount for name in _CHARGED if (amount := reported(usage.get(name))) is not None), None)
