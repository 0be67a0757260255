"""The runs and images in archives: marks, frozen runs, manifests, and the image names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from ..core.jobs import Job
from ..core.money import ZERO, money
from ..storage.archive import Archive
from . import marks
from .frozen import FrozenRun, frozen_path
from .manifest import PROVISIONAL, manifest_path

IMAGES = "images"
_NAME = re.compile(
    r"images/(?P<folder>[^/]+)/(?P<shot>[a-z0-9-]{1,40})-(?P<fingerprint>[0-9a-f]{8})-(?P<slot>\d{1,2})(-[0-9a-f]{12})?\.\w{1,5}"
)


class Remains:
    """What one run left in an archive."""

    def __init__(self, archive: Archive, run_id: str, mark: marks.Mark | None) -> None:
        self.archive = archive
        self.run_id = run_id
        self.mark = mark
        self.frozen: list[dict[str, Any]] = []
        self.stated: dict[str, str] = {}
        self.records: list[dict[str, Any]] | None = None
        self.complete = False  # the manifest has everything that the run bought
        if archive.exists(frozen_path(run_id)):
            frozen = FrozenRun(archive, run_id)
            self.frozen, self.stated = frozen.rows(0, len(frozen)), frozen.metadata()
            frozen.close()
        if archive.exists(manifest_path(run_id)):
            with archive.open(manifest_path(run_id)) as file:
                table = pq.read_table(file)
            self.records = table.to_pylist()
            self.complete = PROVISIONAL.encode() not in (table.schema.metadata or {})
        # What it only followed was submitted by an earlier run, whose attempts it must not claim.
        own = [each for each in self.records or [] if not each["reused"] and (each["quoted_usd"] or each["billed_usd"])]
        times = [each["submitted_at"] for each in own if each["submitted_at"]]
        # A run without times (nothing bought, or no manifest) comes last: it can only add doubt, not proof.
        self.began: datetime | None = min(times, default=None)

    @property
    def simulated(self) -> bool | None:
        """Whether it was simulated; None when unknown."""
        if self.mark is not None and self.mark.simulated is not None:
            return self.mark.simulated
        return next((bool(each["simulated"]) for each in self.records or ()), None)

    def jobs(self) -> dict[str, tuple[dict[str, Any], list[Job]]]:
        """The frozen records that something may have been bought for, by job key, each with the jobs it is made of."""
        return {
            row["job_key"]: (row, [Job.from_json(row["_job"]), *(Job.from_json(text) for text in row["_beside"] or ())])
            for row in self.frozen
            if row["_settled"] is None and row["_job"]
        }


def by_job(record: Mapping[str, Any], jobs: Sequence[Job]) -> list[tuple[Job, dict[str, Any]]]:
    """A manifest record as one for each of its jobs; its amounts stay together, with the first that it names attempts of."""
    if len(jobs) == 1:
        return [(jobs[0], {**record, "slots": jobs[0].slots or range(record["n"])})]
    of_job = {
        image["attempt_id"]: job.job_key for job in jobs for image in record["images"] if image["slot"] in job.slots
    }
    tasks = dict(zip(record["attempt_ids"], record["task_ids"], strict=True))
    parts: list[tuple[Job, dict[str, Any]]] = []
    amounts = {name: record[name] for name in ("quoted_usd", "billed_usd", "at_risk_usd", "billed_credits")}
    for job in jobs:
        mine = [each for each in tasks if of_job.get(each, jobs[0].job_key) == job.job_key]
        images = [each for each in record["images"] if each["slot"] in job.slots]
        of_part = {
            "job_key": job.job_key,
            "slots": job.slots,
            "attempt_ids": mine,
            "task_ids": [tasks[each] for each in mine],
        }
        parts.append((job, {**record, **of_part, "images": images, **amounts}))
        if mine:
            amounts = {**dict.fromkeys(amounts, ZERO), "billed_credits": None}
    return parts


def doubts(row: Mapping[str, Any], jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """A frozen record as one for each of its jobs, its forecast shared out by their slots."""
    usd, slots_in_all = row["_forecast_usd"], row["n"]
    return [
        {
            **row,
            "job_key": job.job_key,
            "slots": job.slots or range(row["n"]),
            "_forecast_usd": money(usd * len(job.slots) / slots_in_all) if usd and len(jobs) > 1 else usd,
        }
        for job in jobs
    ]


@dataclass(frozen=True, slots=True)
class Named:
    """An image, as parsed from its path."""

    path: str  # below the root
    folder: str  # of its row
    shot: str
    fingerprint: str  # first 8 digits
    slot: int

    @property
    def of_job(self) -> tuple[str, str, str]:
        """The key it shares with the other images of its job."""
        return self.folder, self.shot, self.fingerprint


def named(path: str) -> Named | None:
    """Parse an image's path; None for a file with another kind of name, such as a derived file."""
    found = _NAME.fullmatch(path)
    return Named(path, found["folder"], found["shot"], found["fingerprint"], int(found["slot"])) if found else None


def images_in(archive: Archive) -> Iterator[Named]:
    """Every image of an archive, by one listing. Raises ArchiveFault."""
    if archive.exists(IMAGES):
        for path, _ in archive.list_files(IMAGES):
            image = named(path)
            if image is not None:
                yield image
