"""Reference images in the ledger: what they were, and which uploads may be deleted while requests are prepared and sent."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from ledger_book import ACCOUNT, Book, attempt_in, far_off, make_claim, make_job, on_both, taking
from sqlalchemy import Connection

from seedream_tasks.core.errors import UploadGone
from seedream_tasks.core.states import AttemptState
from seedream_tasks.ledger import gateway_files
from seedream_tasks.ledger.claims import new_attempt_id
from seedream_tasks.ledger.gateway_files import GatewayFile
from seedream_tasks.ledger.reference_cache import CachedReference, known_sources, remember_sources
from seedream_tasks.ledger.store import open_ledger

NOW = datetime.now(UTC)


def source(**fields: Any) -> CachedReference:
    """What is remembered of a reference."""
    values = {"validator": '"1"', "sha256": "ab" * 32, "format": "JPEG", "width": 640, "height": 480, "bytes": 1234}
    return CachedReference(**{**values, "flaw": None, "public": True, "seen_at": NOW, **fields})  # type: ignore[arg-type]


@on_both
def test_a_source_is_remembered_by_its_newest_content(book: Book) -> None:
    """Many at once, each under its URI; the last word counts."""
    many = {f"https://a/{number}.jpg": source(bytes=number) for number in range(1200)}
    book.write(lambda connection: remember_sources(connection, many))
    book.write(lambda connection: remember_sources(connection, {"https://a/7.jpg": source(flaw="turned by EXIF")}))
    found = book.read(lambda connection: known_sources(connection, [*many, "https://a/other.jpg"]))
    assert found == {**many, "https://a/7.jpg": source(flaw="turned by EXIF")}


def put(book: Book, *keys: str, account: str = ACCOUNT, file_id: str | None = "file", minute: int = 0) -> None:
    """Uploads that were made, a minute apart."""
    for number, key in enumerate(keys):
        upload = GatewayFile(key, account, f"https://files/{key}", file_id and f"{file_id}-{key}", far_off())
        at = NOW + timedelta(minutes=minute + number)
        book.write(lambda connection, each=upload, now=at: gateway_files.remember_upload(connection, each, now))


def spared(book: Book, *keep: str, most: int = 10, account: str = ACCOUNT) -> list[str]:
    """The keys of those that make room."""
    found = book.write(lambda connection: gateway_files.spare(connection, account, keep, most, NOW))
    return [each.upload_key for each in found]


def there(book: Book, key: str) -> bool:
    """Whether an upload is known."""
    return book.read(lambda connection: gateway_files.known_upload(connection, key, NOW)) is not None


@on_both
def test_an_upload_is_given_while_it_is_good_for_long_enough(book: Book) -> None:
    """A later upload under the same key takes its place; one that is about to expire is not used."""
    put(book, "a")
    newer = GatewayFile("a", ACCOUNT, "https://files/new", "file-new", far_off())
    book.write(lambda connection: gateway_files.remember_upload(connection, newer, NOW))
    for until, url in ((far_off() - timedelta(seconds=1), "https://files/new"), (far_off(), None)):
        assert book.read(lambda connection, good=until: gateway_files.known_upload(connection, "a", good)) == url


@on_both
def test_the_longest_unused_make_room(book: Book) -> None:
    """As many as are asked for, in the order of their last use."""
    put(book, "b", "a", "d", "c")
    assert spared(book, most=2) == ["b", "a"]
    assert [there(book, key) for key in "abcd"] == [False, False, True, True]


def test_using_an_upload_makes_it_the_youngest(book: Book) -> None:
    """Recency is that of use, not of the upload."""
    put(book, "a", "b", minute=-60)
    attempt_id = book.claim(uploads=("a",))
    book.not_sent(attempt_id)
    assert spared(book, most=1) == ["b"]


@pytest.mark.parametrize("state", list(AttemptState))
def test_what_a_live_attempt_links_to_stays(book: Book, state: AttemptState) -> None:
    """Until the gateway is done with it: intent, accepted and unknown hold theirs, every other state gives them free."""
    put(book, "a", "b")
    attempt_in(book, state, uploads=("a",))
    held = state in (AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.UNKNOWN)
    assert sorted(spared(book)) == (["b"] if held else ["a", "b"])
    assert there(book, "a") == held
    comes = book.read(lambda connection: gateway_files.may_become_spare(connection, ACCOUNT, ()))
    # An unknown payment ends by a person: waiting for it would be in vain.
    assert comes == (state in (AttemptState.INTENT, AttemptState.ACCEPTED))


def test_only_ours_that_can_be_deleted_make_room(book: Book) -> None:
    """Of this account, with a name to delete them by, and not what the caller is about to use."""
    put(book, "a", "keep")
    put(book, "no name", file_id=None)
    put(book, "elsewhere", account="gccai@x#1")
    assert spared(book, "keep") == ["a"]
    assert [there(book, key) for key in ("keep", "no name", "elsewhere")] == [True, True, True]


@on_both
def test_expired_uploads_are_forgotten(book: Book) -> None:
    """They are gone by themselves: nothing to delete."""
    old = GatewayFile("old", ACCOUNT, "https://files/old", "file-old", NOW - timedelta(seconds=1))
    book.write(lambda connection: gateway_files.remember_upload(connection, old, NOW - timedelta(days=3)))
    assert spared(book) == []
    assert book.rows("uploads") == {"uploads": []}


def test_a_claim_without_its_uploads_is_refused_before_anything_is_written(book: Book) -> None:
    """Somebody made room meanwhile: nothing is reserved or sent, and the reference is presented again."""
    book.open_run(max_usd="1")
    put(book, "a")
    before = book.rows()
    wanted = make_claim(make_job(), uploads=("a", "gone"), capped=True)
    with pytest.raises(UploadGone) as raised:
        book.write(taking("me", wanted, new_attempt_id()))
    assert raised.value.facts["upload_keys"] == ["gone"]
    assert book.rows() == before


def test_a_claim_and_a_deletion_of_the_same_upload_exclude_each_other(book: Book, ledger_url: str) -> None:
    """At the same moment, from two processes: either the claim has the upload and it stays, or the claim is refused."""
    book.open_run()
    for number in range(12):
        key = f"key-{number}"
        put(book, key)
        start = Barrier(2)
        outcome: dict[str, Any] = {}

        def claims(name: str = key, at: Barrier = start, seen: dict[str, Any] = outcome, row: int = number) -> None:
            ledger = open_ledger(ledger_url, create=False)
            try:
                wanted = make_claim(make_job(f"sku-{row}"), uploads=(name,))
                at.wait()
                ledger.write_now(taking("other", wanted, new_attempt_id()))
                seen["claimed"] = True
            except UploadGone:
                seen["claimed"] = False
            finally:
                ledger.close()

        def deletes(name: str = key, at: Barrier = start, seen: dict[str, Any] = outcome) -> None:
            def work(connection: Connection) -> list[GatewayFile]:
                return gateway_files.spare(connection, ACCOUNT, (), 100, NOW)

            ledger = open_ledger(ledger_url, create=False)
            try:
                at.wait()
                seen["deleted"] = name in {each.upload_key for each in ledger.write_now(work)}
            finally:
                ledger.close()

        threads = [Thread(target=each) for each in (claims, deletes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcome["claimed"] != outcome["deleted"]


@on_both
def test_an_attempt_keeps_its_warnings(book: Book) -> None:
    """How its references were presented is a fact about the attempt, for the manifest of whichever run shows its images."""
    attempt_id = book.claim(warnings=("reference_converted",))
    assert book.attempt(attempt_id).warnings == ("reference_converted",)
