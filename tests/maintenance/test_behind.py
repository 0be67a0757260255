"""A ledger that is behind its archive buys nothing until it has caught up, and then nothing twice."""

import asyncio
import json
import shutil
import signal
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from balance import balance, listed
from click.testing import CliRunner
from crashing import Moment, Runs
from runs import Ran, products, run
from sandbox_process import Sandbox
from witness import PRICE, leases_end, ledger, ledger_money, submissions

from seedream_tasks.cli.ledger import ledger as ledger_commands
from seedream_tasks.cli.plan import plan as plan_command
from seedream_tasks.config.pairing import open_pair
from seedream_tasks.config.settings import Locations, locations
from seedream_tasks.core.errors import KindMismatch, LedgerBehind, LedgerMismatch
from seedream_tasks.engine.progress import Progress
from seedream_tasks.maintenance.collect import collect
from seedream_tasks.maintenance.rebuild import Rebuilt, merge, rebuild
from seedream_tasks.runs import marks
from seedream_tasks.storage.archive import Archive, archive_id

ZERO = Decimal(0)


def backup(archive: Path) -> Path:
    """Put a whole copy of an SQLite ledger aside."""
    aside = archive.with_name("yesterday.db")
    source, copy = sqlite3.connect(archive / "ledger.db"), sqlite3.connect(aside)
    source.backup(copy)
    source.close()
    copy.close()
    return aside


def restore(archive: Path, aside: Path) -> None:
    """Yesterday's ledger in place of today's."""
    for path in archive.glob("ledger.db*"):
        path.unlink()
    shutil.copy(aside, archive / "ledger.db")


def merged(*archives: Path | str, ledger_url: str | None = None) -> Rebuilt:
    """`seedream ledger rebuild --merge`."""
    place = locations(str(archives[0]), ledger_url, simulated=False)
    return merge([place.archive, *(Archive(str(each)) for each in archives[1:])], place.ledger_url)


def assert_refused(catalog: Path, archive: Path | str, *run_ids: str, **options: Any) -> str:
    """Neither run nor plan goes on; the error names the runs and the way out, which is returned."""
    with pytest.raises(LedgerBehind) as refused:
        run(catalog, archive, gateways=["evolink"], **options)
    assert refused.value.as_json()["code"] == "ledger_behind"
    assert all(each in refused.value.message for each in run_ids)
    url = options.get("ledger")
    where = ["--archive", str(archive), *(["--ledger", url] if url else [])]
    answer = CliRunner().invoke(plan_command, [str(catalog), *where], standalone_mode=False)
    assert isinstance(answer.exception, LedgerBehind)
    hint: str = refused.value.as_json()["hint"]
    return hint.partition(": ")[2]


def follow(way_out: str) -> str:
    """Run the command that a hint names; what it says."""
    words = way_out.split()
    assert words[:2] == ["seedream", "ledger"]
    done = CliRunner().invoke(ledger_commands, words[2:], standalone_mode=False, catch_exceptions=False)
    return done.output


def assert_law(sandbox: Sandbox, archive: Path) -> None:
    """Nothing is paid for twice, and the sums agree."""
    assert balance(sandbox.bill(), listed(archive)).paid_twice == []
    billed, at_risk = ledger_money(archive)
    assert billed <= Decimal(sandbox.bill()["usd"]) <= billed + at_risk


def test_yesterdays_ledger_catches_up_from_the_manifest(gateways: Sandbox, tmp_path: Path) -> None:
    """Refused with the run that it does not know; after the way out every cent is there, and nothing is bought again."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 3), archive, gateways=["evolink"])
    aside = backup(archive)
    today = run(products(tmp_path / "c.csv", 6), archive, gateways=["evolink"])
    money = ledger_money(archive)
    restore(archive, aside)
    way_out = assert_refused(tmp_path / "c.csv", archive, today.run_id)
    assert submissions(gateways) == 6
    assert "added 1 runs, 3 jobs, 3 attempts, 3 images" in follow(way_out)
    assert ledger_money(archive) == money == (6 * PRICE["evolink"], ZERO)
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 6}, 6)
    assert again.summary.billed_usd == ZERO
    assert_law(gateways, archive)


def test_merging_twice_changes_nothing(gateways: Sandbox, tmp_path: Path) -> None:
    """The second time there is nothing to add, and every row stays as it is."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"])
    aside = backup(archive)
    run(products(tmp_path / "c.csv", 4), archive, gateways=["evolink"])
    restore(archive, aside)
    assert merged(archive).attempts == 3

    def rows() -> list[list[tuple[Any, ...]]]:
        tables = "runs", "jobs", "slots", "attempts", "pictures", "copies", "archives", "budgets"
        return [[tuple(row) for row in ledger(archive, f"SELECT * FROM {name} ORDER BY 1, 2")] for name in tables]  # noqa: S608

    before = rows()
    assert merged(archive).nothing
    assert rows() == before


def test_a_run_that_only_reused_is_known_again(gateways: Sandbox, tmp_path: Path) -> None:
    """It bought nothing, so nothing is at risk for it; but the ledger must know it."""
    archive = tmp_path / "a"
    catalog = products(tmp_path / "c.csv", 2)
    run(catalog, archive, gateways=["evolink"])
    aside = backup(archive)
    reused = run(catalog, archive, gateways=["evolink"])
    restore(archive, aside)
    assert_refused(catalog, archive, reused.run_id)
    done = merged(archive)
    assert (done.runs, done.attempts, done.unknown, done.found) == (1, 0, 0, 0)
    assert run(catalog, archive, gateways=["evolink"]).summary.billed_usd == ZERO
    assert_law(gateways, archive)


def test_a_killed_run_leaves_doubt_and_the_images_that_stand_there(
    gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No manifest says what it paid: its images are known by their names, the rest is unknown at its quote, none is bought."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 2), archive, gateways=["evolink"])
    aside = backup(archive)
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "2")
    catalog = products(tmp_path / "c.csv", 6)
    moment = Moment("copy", "after", 2)
    assert processes.one(catalog, archive, moment, gateways=["evolink"], run_id="killed") == -signal.SIGKILL
    restore(archive, aside)
    assert_refused(catalog, archive, "killed")
    done = merged(archive)
    stand = sum(1 for _ in archive.glob("images/*/*.jpg")) - 2
    assert stand >= 1
    assert (done.runs, done.unknown, done.found) == (1, 4, stand)
    bought = submissions(gateways)
    again = run(catalog, archive, gateways=["evolink"])
    unknown = {"unknown": 4 - stand} if stand < 4 else {}
    assert (again.statuses(), submissions(gateways)) == ({"archived": 2 + stand, **unknown}, bought)
    assert_law(gateways, archive)
    assert merged(archive).nothing


def test_a_ledger_that_was_copied_in_the_middle_of_a_run_is_behind_its_mark(
    gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows the run, but not all of it: what was under way then is brought to where the manifest says it is."""
    archive = tmp_path / "a"
    catalog = products(tmp_path / "c.csv", 3)
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 3600, "rate": 1}])
    first = run(catalog, archive, gateways=["evolink"], wait_s=0.2)
    assert first.statuses() == {"in_flight": 3}
    aside = backup(archive)
    gateways.faults([])
    gateways.advance(3600)
    more = run(products(tmp_path / "c.csv", 5), archive, gateways=["evolink"])
    assert more.statuses() == {"archived": 5}
    money = ledger_money(archive)
    restore(archive, aside)
    assert_refused(catalog, archive, more.run_id, first.run_id)
    # Long after: the gateway gives no link any more.
    gateways.advance(90_000)
    done = merged(archive)
    assert (done.runs, done.images) == (1, 5)
    assert ledger_money(archive) == money
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 5}, 5)
    assert_law(gateways, archive)


def test_what_is_written_into_a_restored_ledger_does_not_hide_that_it_is_behind(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Its number grows again with every command; a run's own mark is still one that it never made."""
    archive = tmp_path / "a"
    catalog = products(tmp_path / "c.csv", 2)
    gateways.faults([{"gateway": "*", "kind": "slow", "value": 3600, "rate": 1}])
    first = run(catalog, archive, gateways=["evolink"], wait_s=0.2)
    aside = backup(archive)
    gateways.faults([])
    gateways.advance(3600)
    asyncio.run(collect(locations(str(archive), None, simulated=False), Progress()))
    restore(archive, aside)
    ledger(archive, "UPDATE counts SET records = records + 100000")
    assert_refused(catalog, archive, first.run_id)


def test_the_same_on_postgresql(gateways: Sandbox, tmp_path: Path, postgres: str, postgres_ledger: str) -> None:
    """A replica that lags, or a dump of yesterday: refused, merged, and nothing is bought again."""
    import psycopg

    archive, url = tmp_path / "a", postgres_ledger
    run(products(tmp_path / "c.csv", 2), archive, gateways=["evolink"], ledger=url)
    yesterday = f"{url.rsplit('/', 1)[1]}_yesterday"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {yesterday} TEMPLATE {url.rsplit('/', 1)[1]}")
    lagging = f"{url.rsplit('/', 1)[0]}/{yesterday}"
    today = run(products(tmp_path / "c.csv", 5), archive, gateways=["evolink"], ledger=url)
    way_out = assert_refused(tmp_path / "c.csv", archive, today.run_id, ledger=lagging)
    assert "3 attempts, 3 images" in follow(way_out)
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"], ledger=lagging)
    assert (again.statuses(), again.summary.billed_usd, submissions(gateways)) == ({"archived": 5}, ZERO, 5)
    found = balance(gateways.bill(), listed(archive, lagging))
    assert found.lawful


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_the_same_on_a_store(gateways: Sandbox, tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """Marks, runs and images are read from wherever the archive is."""
    if kind == "s3":
        request.getfixturevalue("s3")
    archive = "s3://shop/pictures" if kind == "s3" else f"memory://behind-{tmp_path.name}"
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"], ledger=url)
    aside = backup(tmp_path)
    today = run(products(tmp_path / "c.csv", 3), archive, gateways=["evolink"], ledger=url)
    restore(tmp_path, aside)
    assert_refused(tmp_path / "c.csv", archive, today.run_id, ledger=url)
    assert merged(archive, ledger_url=url).images == 2
    again = run(tmp_path / "c.csv", archive, gateways=["evolink"], ledger=url)
    assert (again.statuses(), submissions(gateways)) == ({"archived": 3}, 3)


def two_archives(tmp_path: Path) -> tuple[Path, Path, str, Path, Ran]:
    """One ledger that serves two archives, each with products of its own."""
    one, two, url = tmp_path / "one", tmp_path / "two", f"sqlite:///{tmp_path / 'ledger.db'}"
    catalog = products(tmp_path / "c.csv", 2)
    other = products(tmp_path / "d.csv", 3, model="seedream-4.0")
    run(catalog, one, gateways=["evolink"], ledger=url)
    in_two = run(other, two, gateways=["evolink"], ledger=url)
    return one, two, url, other, in_two


def lose(url: str) -> None:
    """The ledger is gone."""
    database = Path(url.removeprefix("sqlite:///"))
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


def test_a_ledger_rebuilt_from_one_archive_refuses_the_other(gateways: Sandbox, tmp_path: Path) -> None:
    """Its jobs would all be bought again; the way out takes it in."""
    one, two, url, other, in_two = two_archives(tmp_path)
    lose(url)
    rebuild([Archive(str(one))], url)
    way_out = assert_refused(other, two, in_two.run_id, ledger=url)
    assert "3 attempts, 3 images" in follow(way_out)
    again = run(other, two, gateways=["evolink"], ledger=url)
    assert (again.statuses(), again.summary.billed_usd, submissions(gateways)) == ({"archived": 3}, ZERO, 5)


def test_a_ledger_that_is_behind_one_archive_buys_into_no_other(gateways: Sandbox, tmp_path: Path) -> None:
    """Yesterday's ledger and a fresh archive: what was bought today stands in the one that it knows of."""
    url, catalog = f"sqlite:///{tmp_path / 'ledger.db'}", products(tmp_path / "c.csv", 1)
    run(catalog, tmp_path / "a", gateways=["evolink"], ledger=url)
    aside = backup(tmp_path)
    today = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"], ledger=url)
    restore(tmp_path, aside)
    way_out = assert_refused(catalog, tmp_path / "fresh", today.run_id, ledger=url)
    assert "2 attempts, 2 images" in follow(way_out)
    again = run(catalog, tmp_path / "fresh", gateways=["evolink"], ledger=url)
    assert (again.statuses(), again.summary.billed_usd, submissions(gateways)) == ({"archived": 3}, ZERO, 3)


def test_a_ledger_is_rebuilt_from_all_its_archives(gateways: Sandbox, tmp_path: Path) -> None:
    """`rebuild --archive A --archive B`: both are known, and what one took from the other stands in both."""
    one, two, url, other, _ = two_archives(tmp_path)
    run(tmp_path / "c.csv", two, gateways=["evolink"], ledger=url)
    lose(url)
    way = ["rebuild", "--archive", str(one), "--archive", str(two), "--ledger", url, "--json"]
    done = CliRunner().invoke(ledger_commands, way, standalone_mode=False, catch_exceptions=False)
    told = json.loads(done.output)
    assert (told["runs"], told["attempts"], told["unknown"], told["found"]) == (3, 5, 0, 0)
    for catalog, archive, count in ((tmp_path / "c.csv", one, 2), (other, two, 3), (tmp_path / "c.csv", two, 2)):
        again = run(catalog, archive, gateways=["evolink"], ledger=url)
        assert (again.statuses(), submissions(gateways)) == ({"archived": count}, 5)
        assert all(image["uri"].startswith(f"{archive}/") for each in again.records for image in each["images"])


def test_archives_of_two_ledgers_are_not_rebuilt_into_one(gateways: Sandbox, tmp_path: Path) -> None:
    """Each ledger is rebuilt from its own."""
    catalog = products(tmp_path / "c.csv", 1)
    for name in ("one", "two"):
        run(catalog, tmp_path / name, gateways=["evolink"])
    with pytest.raises(LedgerMismatch, match="2 ledgers"):
        rebuild([Archive(str(tmp_path / "one")), Archive(str(tmp_path / "two"))], f"sqlite:///{tmp_path / 'new.db'}")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("damage", ["gone", "empty", "no ledger"])
def test_an_archive_without_its_archive_json_is_taken_in_again(gateways: Sandbox, tmp_path: Path, damage: str) -> None:
    """Deleted or damaged: refused, and the command that the hint names writes it anew; nothing is bought again."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    run(catalog, archive, gateways=["evolink"])
    marker = archive / "archive.json"
    if damage == "gone":
        marker.unlink()
    else:
        marker.write_text("" if damage == "empty" else "{}")
    with pytest.raises(LedgerMismatch) as refused:
        run(catalog, archive, gateways=["evolink"])
    assert "nothing to add" in follow(str(refused.value.facts["hint"]).partition(": ")[2])
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), again.summary.billed_usd, submissions(gateways)) == ({"archived": 2}, ZERO, 2)


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_ledger_and_archive_json_both_lost(gateways: Sandbox, tmp_path: Path, damage: str) -> None:
    """The runs' marks still say whose the archive is, and whether it is real."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    run(catalog, archive, gateways=["evolink"])
    before = json.loads((archive / "archive.json").read_text())
    (archive / "archive.json").write_text("{")
    if damage == "gone":
        (archive / "archive.json").unlink()
    for path in archive.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(LedgerMismatch) as refused:
        run(catalog, archive, gateways=["evolink"])
    assert "restored 1 runs, 2 jobs" in follow(str(refused.value.facts["hint"]).partition(": ")[2])
    after = json.loads((archive / "archive.json").read_text())
    assert {key: after[key] for key in ("ledger_id", "kind")} == {key: before[key] for key in ("ledger_id", "kind")}
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 2}, 2)


def test_an_archive_of_another_ledger_is_not_merged(gateways: Sandbox, tmp_path: Path) -> None:
    """The hint leads to a ledger of its own, which takes it."""
    catalog = products(tmp_path / "c.csv", 1)
    for name in ("one", "two"):
        run(catalog, tmp_path / name, gateways=["evolink"])
    url = f"sqlite:///{tmp_path / 'one' / 'ledger.db'}"
    with pytest.raises(LedgerMismatch) as refused:
        run(catalog, tmp_path / "two", gateways=["evolink"], ledger=url)
    with pytest.raises(LedgerMismatch):
        merged(tmp_path / "two", ledger_url=url)
    way_out = str(refused.value.facts["hint"]).partition(": ")[2]
    assert "restored 1 runs" in follow(way_out)
    beside = way_out.split()[-1]
    assert run(catalog, tmp_path / "two", gateways=["evolink"], ledger=beside).summary.billed_usd == ZERO


def test_real_and_simulated_are_not_merged(gateways: Sandbox, tmp_path: Path) -> None:
    """A ledger holds either."""
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"])
    ledger(archive, "UPDATE meta SET value = 'real' WHERE key = 'kind'")
    with pytest.raises(KindMismatch):
        merged(archive)


def test_older_runs_without_marks_and_pruned_ones_are_not_refused(gateways: Sandbox, tmp_path: Path) -> None:
    """A mark that is not there says nothing, and neither do images that were given up or folders of somebody else."""
    catalog, archive = products(tmp_path / "c.csv", 3), tmp_path / "a"
    first = run(catalog, archive, gateways=["evolink"])
    (archive / marks.mark_path(first.run_id)).unlink()
    (archive / "runs" / "lost+found").mkdir()
    (archive / "runs" / ".DS_Store").write_bytes(b"x")
    stated = json.loads((archive / "archive.json").read_text())
    (archive / "archive.json").write_text(json.dumps({key: stated[key] for key in stated if key != "archive_id"}))
    catalog = products(tmp_path / "c.csv", 2)
    run(catalog, archive, gateways=["evolink"])
    where = ["prune", "--archive", str(archive), "--yes", "--at-most", "1"]
    assert CliRunner().invoke(ledger_commands, where, standalone_mode=False, catch_exceptions=False).output
    shutil.rmtree(archive / "runs" / first.run_id)
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 2}, 3)
    assert json.loads((archive / "archive.json").read_text())["archive_id"] == archive_id(str(archive))


def test_a_mark_that_cannot_be_read_is_not_passed_over(gateways: Sandbox, tmp_path: Path) -> None:
    """It may have said anything; merging writes it anew."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    first = run(catalog, archive, gateways=["evolink"])
    (archive / marks.mark_path(first.run_id)).write_text("{")
    follow(assert_refused(catalog, archive, first.run_id))
    assert run(catalog, archive, gateways=["evolink"]).statuses() == {"archived": 1}


def test_a_mark_is_never_ahead_of_its_own_ledger(gateways: Sandbox, tmp_path: Path) -> None:
    """It states whose it is, how far the ledger had come, and when; opening the pair accepts it."""
    catalog, archive = products(tmp_path / "c.csv", 1), tmp_path / "a"
    first = run(catalog, archive, gateways=["evolink"])
    mark = json.loads((archive / marks.mark_path(first.run_id)).read_text())
    (row,) = ledger(archive, "SELECT (SELECT sum(records) FROM counts) AS records, (SELECT marked FROM runs) AS marked")
    assert mark["number"] <= row["marked"] <= row["records"]
    assert mark.keys() == {"ledger_id", "number", "simulated", "time"}
    place = locations(str(archive), None, simulated=False)
    assert isinstance(place, Locations)
    open_pair(place, create=False).close()


def forget(archive: Path, *row_keys: str) -> None:
    """Take what a run did after its last mark out of the ledger, as one that was restored lacks it."""
    for row_key in row_keys:
        of_row = "SELECT attempt_id FROM attempts WHERE job_key IN (SELECT job_key FROM jobs WHERE row_key = ?)"
        for table in ("copies", "pictures"):
            ledger(archive, f"DELETE FROM {table} WHERE attempt_id IN ({of_row})", row_key)  # noqa: S608
        for table in ("slots", "attempts", "jobs"):
            ledger(archive, f"DELETE FROM {table} WHERE job_key LIKE ?", f"{row_key}/%")  # noqa: S608


def test_an_image_that_stands_where_it_would_get_is_taken_in_instead_of_bought(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """What a minute without a mark hides: the file is verified and fills its slot; what it may have cost is at risk."""
    catalog, archive = products(tmp_path / "c.csv", 4, n=2), tmp_path / "a"
    run(catalog, archive, gateways=["evolink"])
    forget(archive, "p1", "p2")
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 4}, 4)
    assert (again.one("p1")["image_count"], again.one("p1")["at_risk_usd"]) == (2, 2 * PRICE["evolink"])
    assert again.summary.billed_usd == ZERO
    assert_law(gateways, archive)
    third = run(catalog, archive, gateways=["evolink"])
    assert (third.statuses(), submissions(gateways)) == ({"archived": 4}, 4)


@pytest.mark.outside_the_law(
    "the ledger has forgotten one of the payments, and the image that would tell of it is damaged"
)
def test_a_damaged_file_is_not_taken_for_an_image(gateways: Sandbox, tmp_path: Path) -> None:
    """It stays where it is, and the image is bought."""
    catalog, archive = products(tmp_path / "c.csv", 2), tmp_path / "a"
    first = run(catalog, archive, gateways=["evolink"])
    forget(archive, "p1")
    path = archive / first.one("p1")["images"][0]["path"]
    path.write_bytes(path.read_bytes()[:100])
    again = run(catalog, archive, gateways=["evolink"])
    assert (again.statuses(), submissions(gateways)) == ({"archived": 2}, 3)
    assert len(path.read_bytes()) == 100


def test_nobody_looks_into_an_archive_that_no_other_run_has_used(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run lists no row's folder; a later one looks once for each job that it would buy."""
    looked: list[str] = []
    names_in = Archive.names_in

    def watched(self: Archive, folder: str) -> list[str]:
        looked.append(folder)
        return names_in(self, folder)

    monkeypatch.setattr(Archive, "names_in", watched)
    archive = tmp_path / "a"
    run(products(tmp_path / "c.csv", 3), archive, gateways=["evolink"])
    assert looked == []
    run(products(tmp_path / "c.csv", 5), archive, gateways=["evolink"])
    assert sorted(looked) == ["images/p3", "images/p4"]


def test_a_run_renews_its_mark_while_it_buys(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at its beginning and its end: what a copy of the ledger lacks of a long run is told by the mark."""
    assert 0 < marks.RENEW_EVERY_S < 60
    monkeypatch.setattr(marks, "RENEW_EVERY_S", 0.02)
    archive = tmp_path / "a"
    first = run(products(tmp_path / "c.csv", 1), archive, gateways=["evolink"])
    place = locations(str(archive), None, simulated=False)
    store = open_pair(place, create=False)

    def number() -> int:
        return int(json.loads((archive / marks.mark_path(first.run_id)).read_text())["number"])

    async def buys() -> None:
        async with marks.marking(store, place.archive, first.run_id):
            before = number()
            await store.write(lambda connection: None)
            async with asyncio.timeout(20):
                while number() <= before:  # noqa: ASYNC110 - a file says it
                    await asyncio.sleep(0.01)

    try:
        asyncio.run(buys())
    finally:
        store.close()


def test_a_ledger_from_the_middle_of_a_run_that_was_killed(
    gateways: Sandbox, processes: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows the run and some of its attempts; no manifest says the rest: what may have been paid is unknown, not free."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    catalog, archive = products(tmp_path / "c.csv", 5), tmp_path / "a"
    options: dict[str, Any] = {"gateways": ["evolink"], "run_id": "killed"}
    assert processes.one(catalog, archive, Moment("copy", "after", 1), **options) == -signal.SIGKILL
    leases_end(archive)
    aside = backup(archive)
    assert processes.one(catalog, archive, Moment("copy", "after", 2), **options) == -signal.SIGKILL
    restore(archive, aside)
    assert_refused(catalog, archive, "killed")
    done = merged(archive)
    assert done.runs == 0
    assert done.unknown >= 1
    bought = submissions(gateways)
    again = run(catalog, archive, gateways=["evolink"])
    assert submissions(gateways) == bought
    assert set(again.statuses()) <= {"archived", "unknown"}
    assert_law(gateways, archive)
