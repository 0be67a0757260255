"""An archive and a ledger as a finished run of very many rows leaves them, without the hours that buying would take.

    python -m benchmarks.filling CATALOG SHOTS ARCHIVE BASE_URL [--no-files]

The first job of each thousand is recorded by the ledger's own functions, from the claim to the archived image; the others get
copies of its rows under their own keys. Every image is a file of its own, the same small JPEG; --no-files leaves them out.
"""

import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

from PIL import Image
from sqlalchemy import Connection, RowMapping, insert, select

from seedream_tasks.config.pairing import open_pair, settle_kind
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.config.settings import locations, references_of
from seedream_tasks.core.jobs import Job, canonical_json
from seedream_tasks.core.outcomes import Finished, Link
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.slots import Purpose
from seedream_tasks.core.stored_images import Stored
from seedream_tasks.gateways.client import Account
from seedream_tasks.ledger import (
    claims,
    identity,
    image_records,
    known_runs,
    schema,
    transitions,
)
from seedream_tasks.ledger.writer import Ledger
from seedream_tasks.planning.freeze import documented, freeze
from seedream_tasks.runs.frozen import FrozenRun
from seedream_tasks.storage.archive import Archive, safe_key

GATEWAY, KEY, RUN = "evolink", "benchmark", "00000000-0000-0000-0000-000000000001"
PRICES = PriceBook.for_run(simulated=True)
_PER_COMMIT = 1000


def main() -> None:
    """Fill what the command line names."""
    catalog, shots, root, base_url, *no_files = sys.argv[1:]
    place = locations(root, None, simulated=False)
    ledger = open_pair(place)
    account = Account(GATEWAY, base_url, KEY).name
    settle_kind(ledger, place.archive, simulated=True)
    ledger.write_now(lambda connection: identity.know_account(connection, account, GATEWAY, simulated=True))
    ledger.write_now(
        lambda connection: known_runs.open_run(
            connection, RUN, place.archive.root, catalog, simulated=True, max_usd=None
        )
    )
    options, references = RunOptions(catalog, shots), references_of(catalog)
    freeze(options, RUN, place.archive, ledger, references, documented((GATEWAY,)), PRICES, "")
    frozen = FrozenRun(place.archive, RUN)
    jobs = (job for _, job, _ in frozen.jobs(0, len(frozen)))
    for several in batched(jobs):
        record(ledger, several, account, place.archive.root)
        if not no_files:
            place_files(place.archive, several)
    ledger.write_now(lambda connection: known_runs.finish_run(connection, RUN))
    frozen.close()
    ledger.close()


def batched(jobs: Iterator[Job]) -> Iterator[list[Job]]:
    """Lists of as many as a commit takes."""
    while several := list(islice(jobs, _PER_COMMIT)):
        yield several


def place_files(archive: Archive, several: Sequence[Job]) -> None:
    """Their images; nobody pays for these, so they are not flushed to the disk."""
    for job in several:
        path = archive.local_path(path_of(job))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE)


def record(ledger: Ledger, several: Sequence[Job], account: str, root: str) -> None:
    """Buy these jobs in the ledger."""
    first, *others = several

    def work(connection: Connection) -> None:
        bought = buy(connection, ledger.owner, first, account, root)
        mine = {job.job_key: claims.new_attempt_id() for job in others}
        for table in (schema.jobs, schema.slots, schema.attempts, schema.images, schema.copies):
            key = table.c.job_key == first.job_key if "job_key" in table.c else table.c.attempt_id == bought
            (row,) = connection.execute(select(table).where(key)).mappings()
            copies = [{**row, **own(job, mine[job.job_key], row)} for job in others]
            if copies:
                connection.execute(insert(table), copies)

    ledger.write_now(work)


def own(job: Job, attempt_id: str, row: RowMapping) -> dict[str, object]:
    """What in a row of the ledger is this job's own."""
    values = {
        "job_key": job.job_key,
        "row_key": job.row_key,
        "fingerprint": job.fingerprint,
        "decides": canonical_json(job.decides()).decode(),
        "attempt_id": attempt_id,
        "task_id": f"task-unified-{attempt_id}",
        "url": link_of(attempt_id),
        "path": path_of(job),
    }
    return {name: value for name, value in values.items() if name in row}


def buy(connection: Connection, owner: str, job: Job, account: str, root: str) -> str:
    """One attempt from its claim to its archived image."""
    price = PRICES.row(GATEWAY, job.model, job.tier)
    assert price is not None
    attempt_id = claims.new_attempt_id()
    wanted = claims.Claim(job, (0,), {0: None}, Purpose.FIRST, RUN, False, GATEWAY, account, price, price, "cheapest")
    claims.claim(connection, owner, attempt_id, wanted, 0.0)
    transitions.accepted(connection, attempt_id, f"task-unified-{attempt_id}", 30.0, None)
    transitions.delivered(connection, attempt_id, Finished((Link(link_of(attempt_id)),)), None)
    stored = Stored(root, path_of(job), DIGEST, len(IMAGE), "image/jpeg", 64, 64)
    image_records.archived(connection, attempt_id, 0, stored)
    return attempt_id


def link_of(attempt_id: str) -> str:
    """As long as a real one."""
    return f"https://files.evolink.example/2026/11/21/{attempt_id}/0.jpg?signature={attempt_id}"


def path_of(job: Job) -> str:
    """Where the engine would have put it."""
    return f"images/{safe_key(job.row_key)}/{job.shot}-{job.fingerprint[:8]}-0.jpg"


def _image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "JPEG")
    return file.getvalue()


IMAGE = _image()
DIGEST = hashlib.sha256(IMAGE).hexdigest()

if __name__ == "__main__":
    main()
