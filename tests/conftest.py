"""Nothing here can buy: every SEEDREAM_* and GETIMG_* variable is dropped before anything of the project is imported."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

for _name in list(os.environ):
    if _name.startswith(("SEEDREAM_", "GETIMG_", "PREFECT_", "AWS_")):
        del os.environ[_name]
# Prefect keeps what it keeps in a folder of this test session; it reads the variable when it is imported.
_prefect_home = tempfile.mkdtemp(prefix="seedream-test-prefect-")
atexit.register(shutil.rmtree, _prefect_home, ignore_errors=True)
os.environ |= {
    "PREFECT_HOME": _prefect_home,
    # Every client that is made reads all certificates that it trusts, a run makes three, and Prefect one a call. Nothing here
    # leaves this machine, so one certificate is enough: 140 of them took a third of each run's time.
    "SSL_CERT_FILE": str(Path(__file__).parent / "certificate.pem"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "ERROR",
}

from crashing import Runs  # noqa: E402
from law import assert_law, ledgers_below  # noqa: E402
from odd_gateway import OddGateway, odd_gateway  # noqa: E402
from postgres_server import Postgres, postgres_programs, start_postgres  # noqa: E402
from s3_server import KEY_ID, S3, SECRET, start_s3  # noqa: E402
from sandbox_process import Sandbox, start_sandbox  # noqa: E402

# A file is one worker's: those that take longest come first, so that nobody waits for one alone in the end.
_FIRST = (
    "prefect_server/test_how_to.py",
    "prefect_server",
    "orchestration",
    "ui",
    "cli",
    "engine",
    "maintenance",
    "server",
    "uploads",
)
# What stands on one of these is slow: processes that are killed, servers, a browser.
_SLOW = {"processes", "postgres_server", "prefect_database", "page"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, each in its own order; `slow` is whatever needs more than this process."""
    place = {name: number for number, name in enumerate(_FIRST)}

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return place.get(f"{folder}/{item.path.name}", place.get(folder, len(place)))

    items.sort(key=rank)
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        if "ledger_url" in needs and item.callspec.params["ledger_url"] == "sqlite":  # type: ignore[attr-defined]
            needs.discard("postgres_server")
        elif "ledger_url" in needs:
            needs.add("postgres_server")
        if needs & _SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What is imported and collected stays until the end: no collection of garbage need look at it."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In CI nothing may be skipped: everything that is optional elsewhere is installed there."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"CI fails: {skipped} tests were skipped", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test is a failed one in CI."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of Prefect's, to be copied: all processes of this test session together make it once."""
    from own_prefect import migrated

    root = tmp_path_factory.getbasetemp()
    return migrated(root.parent if "PYTEST_XDIST_WORKER" in os.environ else root)


@pytest.fixture(scope="session")
def prefect_api(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one Prefect server that this process's flows and commands use: a server takes seconds to start."""
    from own_prefect import at_home, prefect_api

    home = at_home(prefect_database, tmp_path_factory.mktemp("prefect"))
    with prefect_api(home / "prefect.db") as url:
        yield url


@pytest.fixture(scope="session")
def _fast_sandbox() -> Iterator[Sandbox]:
    with start_sandbox("--seconds", "0.05", "--image-px", "96", "--allow-local-callbacks") as running:
        yield running


@pytest.fixture
def gateways(
    _fast_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Sandbox]:
    """All four gateways, served by one sandbox as if just started, configured through the environment.

    At the end the law of money holds over everything that was bought there, unless a test says why it cannot (`outside_the_law`).
    """
    _fast_sandbox.reset()
    for name, base in _fast_sandbox.bases.items():
        monkeypatch.setenv(f"SEEDREAM_{name.upper()}_API_KEY", f"key-of-{name}")
        monkeypatch.setenv(f"SEEDREAM_{name.upper()}_BASE_URL", base)
    own = [
        str(request.getfixturevalue(name)) for name in ("ledger_url", "postgres_ledger") if name in request.fixturenames
    ]
    yield _fast_sandbox
    if request.node.get_closest_marker("outside_the_law") is None:
        on_server = {url for url in own if not url.startswith("sqlite")}
        assert_law(_fast_sandbox.bill(), [*ledgers_below(tmp_path), *on_server])


@pytest.fixture(scope="session")
def processes() -> Iterator[Runs]:
    """Runs in processes of their own, without Prefect: they may be killed, put to sleep, lose their disk."""
    with Runs() as started:
        yield started


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3]:
    with start_s3() as running:
        yield running


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3:
    """An S3 server with the empty bucket `shop`, found and entered by the usual environment variables."""
    _s3_server.reset()
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": _s3_server.url,
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "AWS_MAX_ATTEMPTS": "2",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # an open client keeps what the environment said before
    return _s3_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One for the whole session; skipped where its programs are not installed. Whoever stops it starts it again."""
    programs = postgres_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no PostgreSQL: initdb and pg_ctl were not found")
        pytest.skip("PostgreSQL is not installed (initdb and pg_ctl were not found)")
    with start_postgres(programs) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(postgres_server: Postgres) -> str:
    """The URL of a PostgreSQL server of our own."""
    return postgres_server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty ledger on each of the two databases: for what they could do differently, as transactions, locks, kills in
    mid-commit, SQL of their own, migrations, types and restarts. Everything else is tried on SQLite.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_ledger"))


@pytest.fixture
def postgres_ledger(postgres: str) -> str:
    """A new, empty ledger on PostgreSQL."""
    import psycopg

    name = f"ledger_{os.urandom(6).hex()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddGateway]:
    """A gateway that answers as the test says, configured as EvoLink, alone."""
    with odd_gateway() as gateway:
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "key-of-evolink")
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", gateway.base)
        yield gateway
