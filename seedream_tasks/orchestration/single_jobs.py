"""Single jobs in a user's own flow: submit, wait, archive. One path for the tasks and for a gateway's block."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.blocks.abstract import JobRun
from prefect.runtime import flow_run
from sqlalchemy import Connection

from ..config.run_options import RunOptions
from ..config.settings import amount
from ..core.advice import advice
from ..core.errors import (  # fmt: skip
    GatewayRefused,
    NoGateway,
    NoPrice,
    NotBought,
    NothingArchived,
    NothingDelivered,
    OverCap,
    SeedreamError,
)
from ..core.jobs import Job, Reference
from ..core.money import dollars
from ..core.preflight import obstacles
from ..core.states import AttemptState, Reason, RecordStatus
from ..ledger import archives, queries, values
from ..references.places import scheme
from .run_settings import Access, access_by, lasting_place_of, to_hand_on
from .session import Session, session

if TYPE_CHECKING:
    from .blocks import SeedreamGateway


def own_run_id() -> str:
    """The flow run is the run, so its retries share one cap; outside of a flow run, every call is its own run."""
    return str(flow_run.id or uuid.uuid4())


async def settings_for(
    archive: str | None,
    ledger: str | None,
    gateways: Sequence[str] | None,
    prices: str | None,
    max_usd: Decimal | float | str | None,
    wait_s: float,
) -> RunOptions:
    """Settings for single jobs. Raises ConfigurationError."""
    place = await lasting_place_of(archive, ledger, simulated=False)
    return RunOptions(
        catalog="",
        archive=place.archive.root,
        ledger=to_hand_on(ledger, place),
        gateways=tuple(gateways or ()),
        prices=prices,
        max_usd=amount(max_usd, "max_usd"),
        wait_s=wait_s,
    )


async def submit(job: Job, run_id: str, options: RunOptions, access: Access | None = None) -> list[str]:
    """Buy what is missing of a job; returns the ids of its attempts that are live or hold its images.

    Raises OverCap, NoGateway, NoPrice, GatewayRefused or NotBought if there are none, and ReferenceFault.
    """
    async with session(run_id, options, access) as run:
        job = await _with_references(run, job)
        _check_gateways(run, job)
        await run.begin()
        attempt_ids = await (await run.engine()).submit(job)
        if not attempt_ids:
            raise await _why_not(run, job)
    return attempt_ids


async def _with_references(run: Session, job: Job) -> Job:
    """The job with its references checked if they were not: their bytes are part of the fingerprint."""
    if all(each.sha256 for each in job.references):
        return job

    def look() -> tuple[Reference, ...]:
        return tuple(each if each.sha256 else run.references.checked(_located(each)) for each in job.references)

    return job.having(references=await asyncio.to_thread(look))


def _located(reference: Reference) -> Reference:
    """Resolve a relative path against the working folder."""
    if scheme(reference.uri) or reference.uri.startswith("data:"):
        return reference
    return replace(reference, uri=str(Path(reference.uri).absolute()))


def _check_gateways(run: Session, job: Job) -> None:
    """Raises NoGateway, with each gateway's limit, if no gateway of this run can do the job."""
    against = {name: obstacles(job, rows[job.model]) for name, rows in run.capabilities.items() if job.model in rows}
    if all(against.values()):
        names = ", ".join(run.capabilities)
        said = "; ".join(str(found[0]) for found in against.values()) or f"none of {names} sells {job.model}"
        raise NoGateway(f"{job.row_key} {job.shot} is not bought: {said}", row_key=job.row_key, shot=job.shot)


async def wait(attempt_ids: list[str], run_id: str, options: RunOptions, access: Access | None = None) -> list[str]:
    """Follow attempts until the gateway is done with them; returns those that delivered. Raises NothingDelivered for none."""
    async with session(run_id, options, access) as run:
        delivered = await (await run.engine()).wait(attempt_ids)
        if not delivered:
            raise NothingDelivered(
                f"none of these attempts delivered an image: {await _ends(run, attempt_ids)}", attempt_ids=attempt_ids
            )
    return delivered


async def archive_images(
    attempt_ids: list[str], run_id: str, options: RunOptions, access: Access | None = None
) -> list[str]:
    """Copy and verify what these attempts delivered; returns the URIs of the archived images, in the order of the attempts.

    Raises NothingArchived for none.
    """
    async with session(run_id, options, access) as run:
        await (await run.engine()).archive(attempt_ids)
        found = await run.around.ledger.read(
            lambda connection: [each for one in attempt_ids for each in queries.images_of(connection, one)]
        )
        places = await run.around.ledger.read(archives.places)
        uris = [f"{places.get(name, name)}/{path}" for each in found for name, path in each.copies.items()]
        if not uris:
            raise NothingArchived(f"no image is archived: {await _ends(run, attempt_ids)}", attempt_ids=attempt_ids)
    return uris


async def _ends(run: Session, attempt_ids: Sequence[str]) -> str:
    """The states of these attempts, and what to do about them."""
    if not attempt_ids:
        return "there are none"
    found = await run.around.ledger.read(lambda connection: queries.attempts_by_id(connection, attempt_ids))
    return "; ".join(_end(each) for each in found)


def _end(attempt: values.Attempt) -> str:
    status = _AS_RECORD.get(attempt.state, RecordStatus.FAILED)
    what = f" ({attempt.error_code}: {attempt.error_message})" if attempt.error_code else ""
    risk = f", {dollars(attempt.at_risk_usd)} at risk" if attempt.at_risk_usd else ""
    return f"{attempt.attempt_id} is {attempt.state}{what}{risk}: {advice(status, '', attempt.error_code)}"


_AS_RECORD = {
    AttemptState.INTENT: RecordStatus.IN_FLIGHT,
    AttemptState.ACCEPTED: RecordStatus.IN_FLIGHT,
    AttemptState.DELIVERED: RecordStatus.IN_FLIGHT,
    AttemptState.UNKNOWN: RecordStatus.UNKNOWN,
    AttemptState.EXPIRED: RecordStatus.EXPIRED,
    AttemptState.LOST: RecordStatus.LOST,
    AttemptState.CANCELLED: RecordStatus.CANCELLED,
}


class SeedreamImages(JobRun[list[str]]):
    """The images of one job, bought by `SeedreamGateway.trigger`. Its attempts stand in the ledger, not in this object."""

    def __init__(self, attempt_ids: list[str], run_id: str, options: RunOptions, access: Access) -> None:
        self.attempt_ids = attempt_ids
        self.run_id = run_id
        self._settings = options
        self._access = access

    async def wait_for_completion(self) -> None:  # type: ignore[override] # Prefect declares a Logger, and returns none either
        """Wait until the gateway is done, at most as long as `trigger` was told. Raises NothingDelivered when no image comes;
        what is still running then is taken up by whoever asks next.
        """
        await wait(self.attempt_ids, self.run_id, self._settings, self._access)

    async def fetch_result(self) -> list[str]:
        """Copy the images into the archive, verified; returns their URIs. Raises NothingArchived while there are none."""
        return await archive_images(self.attempt_ids, self.run_id, self._settings, self._access)


async def trigger(
    block: "SeedreamGateway",
    job: Job,
    archive: str | None,
    ledger: str | None,
    prices: str | None,
    max_usd: Decimal | float | str | None,
    wait_s: float,
) -> SeedreamImages:
    """`SeedreamGateway.trigger`. The block is at hand, so its key is not looked up by name."""
    name = f"seedream-gateway/{block._block_document_name or block.gateway}"
    options = await settings_for(archive, ledger, (name,), prices, max_usd, wait_s)
    access = access_by({name: block}, prices)
    run_id = own_run_id()
    attempt_ids = await submit(job, run_id, options, access)
    return SeedreamImages(attempt_ids, run_id, options, access)


_BY_REASON: dict[str, type[SeedreamError]] = {
    Reason.OVER_CAP: OverCap,
    Reason.NO_PRICE: NoPrice,
    Reason.NO_GATEWAY: NoGateway,
    Reason.GATEWAY_UNUSABLE: NoGateway,
}


async def _why_not(run: Session, job: Job) -> SeedreamError:
    def look(connection: Connection) -> SeedreamError:
        names = {"row_key": job.row_key, "shot": job.shot}
        what = f"{job.row_key} {job.shot} is not bought: "
        deferred = queries.admissions_of(connection, run.run_id, [job.job_key]).get(job.job_key)
        if deferred is not None:
            why = f"{deferred.message}: {advice(RecordStatus.DEFERRED, deferred.reason, None)}"
            return _BY_REASON.get(deferred.reason, NotBought)(what + why, **names)
        tried = queries.job_views(connection, [job.job_key])[job.job_key].attempts
        if not tried:
            return NoGateway(f"{what}its gateway is out", **names)
        return GatewayRefused(what + _end(tried[-1]), error_code=tried[-1].error_code, **names)

    return await run.around.ledger.read(look)
