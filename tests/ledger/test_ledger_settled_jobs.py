"""Jobs at rest: what is said of many jobs at once is what their views say."""

from collections.abc import Callable

import pytest
from ledger_book import Book, attempt_in, made, make_job, on_both, stored

from seedream_tasks.core.jobs import Job
from seedream_tasks.core.states import AttemptState
from seedream_tasks.core.stored_images import Stored
from seedream_tasks.ledger import image_records, missing_images
from seedream_tasks.ledger.settled_jobs import File, at_rest, plain_jobs

HERE = "/archive"


def resting(book: Book, *jobs: Job, archive: str | None = HERE) -> dict[str, list[File]]:
    """The jobs at rest among these."""
    wanted = {job.job_key: job.n for job in jobs}
    return book.read(lambda connection: at_rest(connection, wanted, archive))


def plain(book: Book, *jobs: Job) -> set[str]:
    """Those of one attempt of which nothing is to be warned."""
    wanted = {job.job_key: job.n for job in jobs}
    return set(book.read(lambda connection: plain_jobs(connection, wanted, HERE)))


def bought(book: Book, job: Job, slots: tuple[int, ...] | None = None, archive: str = HERE) -> str:
    """These slots (default: all) in one attempt, archived."""
    numbers = tuple(range(job.n)) if slots is None else slots
    attempt = book.claim(job, numbers)
    book.accepted(attempt)
    book.delivered(attempt, made(len(numbers)))
    for ordinal in range(len(numbers)):
        kept = stored(f"{job.row_key}-{numbers[ordinal]}.jpg", archive)
        kept = Stored(kept.archive, kept.path, kept.sha256, kept.bytes, kept.mime_type, 64, 48)
        book.write(lambda connection, n=ordinal, kept=kept: image_records.archived(connection, attempt, n, kept))  # type: ignore[misc]
    return attempt


@on_both
@pytest.mark.parametrize("state", AttemptState)
def test_only_a_job_whose_image_is_archived_rests(state: AttemptState, book: Book) -> None:
    """Whatever else its attempt came to, something is left to do, or to be told."""
    job = make_job()
    attempt_in(book, state, job)
    assert (job.job_key in resting(book, job)) == (state is AttemptState.ARCHIVED)
    assert resting(book, make_job("never bought")) == {}


@on_both
def test_a_resting_jobs_files_are_those_of_this_archive(book: Book) -> None:
    """With their sizes; a copy elsewhere is none here, but where no archive is asked for it counts."""
    here, there = make_job("here", n=2), make_job("there")
    bought(book, here)
    bought(book, there, archive="/other")
    found = resting(book, here, there)
    assert found.keys() == {here.job_key}
    assert sorted(found[here.job_key], key=lambda each: each.path) == [
        File("here-0.jpg", 1234),
        File("here-1.jpg", 1234),
    ]
    assert resting(book, here, there, archive=None) == {here.job_key: [], there.job_key: []}


def more_are_wanted(book: Book, job: Job) -> Job:
    """Raising n adds slots."""
    bought(book, job)
    return make_job(n=job.n + 1)


def fewer_are_wanted(book: Book, job: Job) -> Job:
    """A slot beyond n may hold an image that has to be looked for."""
    bought(book, job)
    return make_job(n=job.n - 1)


def one_has_gone(book: Book, job: Job) -> Job:
    """Its file is missing, and its link is dead: lost."""
    attempt = bought(book, job)
    book.write(lambda connection: missing_images.gone(connection, HERE, [(attempt, 1)]))
    return job


def another_attempt_is_under_way(book: Book, job: Job) -> Job:
    """At a slot that is wanted no more."""
    bought(book, job)
    book.accepted(book.claim(job, (7,)))
    return job


def one_slot_is_open(book: Book, job: Job) -> Job:
    """Its attempt was never sent."""
    bought(book, job, (0,))
    book.not_sent(book.claim(job, (1,)))
    return job


@on_both
@pytest.mark.parametrize(
    "change", [more_are_wanted, fewer_are_wanted, one_has_gone, another_attempt_is_under_way, one_slot_is_open]
)
def test_a_job_rests_only_when_it_is_whole(change: Callable[[Book, Job], Job], book: Book) -> None:
    """Every slot from 0 to n - 1 and no other, nothing lost, nothing under way."""
    whole, other = make_job(n=2), make_job("other", n=2)
    bought(book, other)
    assert resting(book, change(book, whole), other).keys() == {other.job_key}


@on_both
def test_a_job_that_took_two_attempts_rests_but_is_not_plain(book: Book) -> None:
    """Its record tells of both; so does that of a job with a warning."""
    once, twice, warned = make_job("once", n=2), make_job("twice", n=2), make_job("warned")
    bought(book, once)
    bought(book, twice, (0,))
    bought(book, twice, (1,))
    attempt_in(book, AttemptState.ARCHIVED, warned)  # of a ratio that was not asked for
    assert resting(book, once, twice, warned).keys() == {once.job_key, twice.job_key, warned.job_key}
    assert plain(book, once, twice, warned) == {once.job_key}


@on_both
def test_a_refused_attempt_before_it_is_told_too(book: Book) -> None:
    """A job that was bought at the second try rests, and is not plain."""
    job = make_job()
    book.not_sent(book.claim(job))
    bought(book, job)
    assert resting(book, job).keys() == {job.job_key}
    assert plain(book, job) == set()
