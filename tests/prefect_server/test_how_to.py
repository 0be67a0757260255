"""Every page of docs/how-to is followed by somebody: its commands, scripts and settings do what the page says."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from how_to import HOW_TO, ROOT, SESSIONS, Reader, commands, environment, mentioned, steps
from prefect_api import Api
from prefect_place import ENDED, WITHIN_S
from prefect_ui import server_with_ui
from runs import products, read
from s3_server import BUCKET, S3
from sandbox_process import Sandbox
from waiting import until

from seedream_tasks.cli.main import seedream

Story = Callable[[Reader, "Town"], None]
STORIES: dict[str, Story] = {}


def story(page: str) -> Callable[[Story], Story]:
    """Whoever follows this page."""

    def keep(told: Story) -> Story:
        STORIES[page] = told
        return told

    return keep


class Town:
    """What the pages take for granted: a Prefect server, a bucket, a database, a gateway with its bill."""

    def __init__(self, url: str, gateways: Sandbox, s3: S3, folder: Path) -> None:
        self.gateways = gateways
        self.s3 = s3
        self.folder = folder
        self.at(url)

    def at(self, url: str) -> None:
        """Ask this server from now on."""
        self.ask = Api(url).ask

    def runs(self, deployment: str, count: int = 1) -> list[dict[str, Any]]:
        """The runs of a deployment that somebody or an event started, once there are this many; the newest last."""
        found: list[dict[str, Any]] = []
        wanted = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}

        def there() -> bool:
            answer = self.ask("POST", "/flow_runs/filter", wanted)
            found[:] = [each for each in answer if not each["auto_scheduled"]]
            return len(found) >= count

        until(there, f"{count} runs of {deployment}", WITHIN_S)
        return found

    def newest(self, deployment: str, *states: str) -> dict[str, Any]:
        """The newest run of a deployment, once it is in one of these states (default: ended)."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found.append(self.runs(deployment)[-1])
            return bool({found[-1]["state_name"], found[-1]["state_type"]} & set(states or ENDED))

        until(there, f"a run of {deployment} in {states or ENDED}", WITHIN_S)
        return found[-1]

    def put(self, key: str, path: Path) -> None:
        """An object of the bucket."""
        self.s3.client().put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())

    def usd(self) -> Decimal:
        """What the gateways have charged."""
        return Decimal(self.gateways.bill()["usd"])


@pytest.fixture(scope="module")
def prefect_url(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bare Prefect server, as somebody has who follows a page."""
    with server_with_ui(tmp_path_factory.mktemp("prefect"), prefect_database) as url:
        yield url


@pytest.fixture
def town(prefect_url: str, gateways: Sandbox, s3: S3, tmp_path: Path) -> Town:
    """A place to follow a page in: nothing of another page's is left."""
    made = Town(prefect_url, gateways, s3, tmp_path)
    for each in made.ask("POST", "/work_pools/filter", {}):
        made.ask("DELETE", f"/work_pools/{each['name']}")
    for kind in ("deployments", "automations"):
        for each in made.ask("POST", f"/{kind}/filter", {}):
            made.ask("DELETE", f"/{kind}/{each['id']}")
    return made


@pytest.fixture
def reader(town: Town, postgres: str, prefect_url: str) -> Iterator[Reader]:
    """Somebody with an account at EvoLink, in a folder with the files of the project and a database on db.example.com."""
    for name in ("Makefile", "prefect.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, town.folder)
    for name in ("flows", "scripts", "data/samples"):
        shutil.copytree(ROOT / name, town.folder / name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS seedream WITH (FORCE)")
        connection.execute("CREATE DATABASE seedream")
    server = urlsplit(postgres)
    known = environment(
        PGHOSTADDR=str(server.hostname),
        PGPORT=str(server.port),
        PREFECT_API_URL=f"{prefect_url}/api",
        SEEDREAM_EVOLINK_API_KEY="sk-evo-...",
        SEEDREAM_EVOLINK_BASE_URL=town.gateways.bases["evolink"],
        PREFECT_WORKER_QUERY_SECONDS="1",
    )
    # A server that is starting, or whose database is busy, is asked again.
    patient = {"curl --fail": "curl --fail --retry 60 --retry-connrefused --retry-delay 1"}
    with Reader(town.folder, known, patient) as somebody:
        yield somebody


def _catalog(town: Town, count: int) -> None:
    """The catalog and the shot list that the pages speak of."""
    rows = {"sku": [f"p{n}" for n in range(count)], "title": [f"Mug {n}" for n in range(count)]}
    pq.write_table(pa.table(rows), town.folder / "goods.parquet")
    town.put("products.parquet", town.folder / "goods.parquet")
    shots = {"shots": [{"name": "hero", "operation": "generate", "prompt": "Studio photograph of {{ title }}"}]}
    (town.folder / "shots.yaml").write_text(yaml.safe_dump(shots))


@story("weekly-refresh.md")
def _weekly(reader: Reader, town: Town) -> None:
    _catalog(town, 2)
    reader.follow("weekly-refresh.md")
    run = town.newest("catalog-images-weekly")
    assert run["state_name"] == "Completed", run["state"]
    manifest = read("s3://shop/images", run["id"])
    assert sum((each["billed_usd"] for each in manifest), Decimal(0)) == town.usd() == Decimal("0.062")


@story("approve-before-spending.md")
def _approve(reader: Reader, town: Town) -> None:
    _catalog(town, 4)
    reader.here |= {'"25"': '"0.07"', '"200"': '"0.10"'}
    _does(reader, "prefect", "work-pool", "create", "seedream", "--type", "process")
    reader.keep_running("prefect worker start --pool seedream")
    reader.follow(
        "approve-before-spending.md", {"FLOW-RUN-ID": lambda: town.newest("catalog-images", "Suspended")["id"]}
    )
    run = town.newest("catalog-images")
    assert (run["state_name"], town.usd()) == ("Incomplete", Decimal("0.093")), run["state"]


@story("one-image-in-my-own-flow.md")
def _one_image(reader: Reader, town: Town) -> None:
    base = town.gateways.bases["evolink"]
    reader.here['api_key="sk-evo-..."'] = f'api_key="sk-evo-of-a-block", base_url="{base}"'
    for name in ("SEEDREAM_EVOLINK_API_KEY", "SEEDREAM_EVOLINK_BASE_URL"):
        del reader.environment[name]
    reader.follow("one-image-in-my-own-flow.md")
    (uri,) = json.loads(reader.said[-1].strip().splitlines()[-1].replace("'", '"'))
    assert Path(uri).stat().st_size > 0
    assert town.gateways.bill()["images"] == 1


@contextmanager
def _chat() -> Iterator[tuple[str, list[str]]]:
    """A chat's webhook: its address, and what it was told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/services", told
    finally:
        server.shutdown()
        server.server_close()


@story("alert-on-unknown-payments.md")
def _alerts(reader: Reader, town: Town) -> None:
    with _chat() as (address, told):
        reader.here |= {"https://hooks.slack.com/services/...": address, "within: 600": "within: 10"}
        reader.follow("alert-on-unknown-payments.md", {"BLOCK-ID": lambda: reader.said[-1].split()[-1]})
        # The server loads an automation some time after it has taken it, and says so nowhere: the last of them is at work once it
        # has ended a run, and so are those before it.
        dead: list[str] = []
        until(lambda: _one_has_ended(town, dead), "the end of a run whose process died", WITHIN_S)
        _switch_off(town, "Seedream zombie runs")  # the run below may take longer than ten seconds
        town.gateways.faults([{"gateway": "*", "kind": "drop_response", "match": "number 0", "rate": 1}])
        products(town.folder / "products.csv", 3)
        _does(reader, *_SEEDREAM, "run", "products.csv", "--max-usd", "0.07", code=3)
        until(lambda: len(told) >= 2, f"two messages, not only {told}", WITHIN_S)
        (unknown,) = [each for each in told if each.startswith("Unknown payment at evolink: 0.031 USD\np0 image")]
        (cap,) = [each for each in told if each.startswith("0.031 USD deferred\n")]
        assert "seedream resolve" in unknown
        assert "cap" in cap


def _one_has_ended(town: Town, dead: list[str]) -> bool:
    """Whether one of these runs has been ended; one more dies whenever those before it had time enough to be."""
    if not dead or datetime.now(UTC) - _began(town, dead[-1]) > timedelta(seconds=30):
        dead.append(_dead_run(town))
    return any(_state(town, each) == "CRASHED" for each in dead)


def _began(town: Town, run_id: str) -> datetime:
    return datetime.fromisoformat(town.ask("GET", f"/flow_runs/{run_id}")["created"])


def _switch_off(town: Town, automation: str) -> None:
    (found,) = [each for each in town.ask("POST", "/automations/filter", {}) if each["name"] == automation]
    town.ask("PATCH", f"/automations/{found['id']}", {"enabled": False})


def _dead_run(town: Town) -> str:
    """A flow run that sent a heartbeat, and nothing since."""
    flow = town.ask("POST", "/flows/", {"name": "died"})["id"]
    state = {"type": "RUNNING", "name": "Running"}
    run = town.ask("POST", "/flow_runs/", {"flow_id": flow, "state": state})["id"]
    beat = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
    }
    town.ask("POST", "/events", [beat])
    return str(run)


def _state(town: Town, run_id: str) -> str:
    return str(town.ask("GET", f"/flow_runs/{run_id}")["state_type"])


@story("rotate-a-key.md")
def _rotate(reader: Reader, town: Town) -> None:
    base = town.gateways.bases["evolink"]
    save = (
        "from seedream_tasks import SeedreamGateway\n"
        f"SeedreamGateway(gateway='evolink', api_key='sk-evo-...', base_url='{base}', in_flight=7)"
        ".save('my-evolink', overwrite=True)"
    )
    _does(reader, sys.executable, "-c", save)
    _catalog(town, 2)
    town.gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    _does(reader, *_SEEDREAM, "run", "goods.parquet", "--shots", "shots.yaml", "--wait", "0", code=3)
    town.gateways.faults([])
    town.gateways.advance(4000)
    reader.follow("rotate-a-key.md")
    show = (
        "from seedream_tasks import SeedreamGateway\n"
        "block = SeedreamGateway.load('my-evolink')\n"
        "print(block.api_key.get_secret_value(), block.in_flight)"
    )
    assert _does(reader, sys.executable, "-c", show).split() == ["sk-evo-new", "7"]
    assert "2 archived" in _does(reader, *_SEEDREAM, "attempts", "--archive", "seedream-out")


_SEEDREAM = (sys.executable, "-m", "seedream_tasks")


def _does(reader: Reader, *command: str, code: int = 0) -> str:
    """Something that the page takes for done; what it says."""
    done = subprocess.run(
        command, cwd=reader.folder, env=reader.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@story("move-to-postgresql.md")
def _move(reader: Reader, town: Town) -> None:
    products(town.folder / "products.csv", 3)
    old = ("--archive", "s3://shop/images", "--ledger", "sqlite:///ledger.db")
    _does(reader, *_SEEDREAM, "run", "products.csv", *old)
    before = town.usd()
    reader.follow("move-to-postgresql.md")
    (moved,) = [each for each in reader.said if "records reused" in each]
    assert "3 (3 records reused)" in moved
    assert town.usd() == before == Decimal("0.093")


@story("collect.md")
def _collect(reader: Reader, town: Town) -> None:
    products(town.folder / "products.csv", 2)
    place = ("--archive", "s3://shop/images", "--ledger", "postgresql://seedream@db.example.com/seedream")
    town.gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    _does(reader, *_SEEDREAM, "run", "products.csv", *place, "--wait", "0", code=3)
    town.gateways.faults([])
    town.gateways.advance(4000)
    reader.follow("collect.md")
    assert "2 archived, 0 expired, $0.062 billed" in reader.said[-1]


@story("run-on-upload.md")
def _on_upload(reader: Reader, town: Town) -> None:
    ports = [_free_port() for _ in range(2)]
    virtual = town.folder / ".venv"
    virtual.mkdir()
    for each in Path(sys.prefix).iterdir():
        (virtual / each.name).symlink_to(each)
    (virtual / ".installed").unlink(missing_ok=True)
    (virtual / ".installed").touch()
    (town.folder / ".demo/server").mkdir(parents=True)
    (town.folder / ".demo/server/port").write_text(str(ports[0]))
    incoming = town.folder / "incoming"
    incoming.mkdir()
    goods = products(incoming / "goods.csv", 1)
    town.put("incoming/goods.csv", goods)
    reader.here |= {
        "127.0.0.1:4200": f"127.0.0.1:{ports[0]}",
        "127.0.0.1:8788": f"127.0.0.1:{ports[1]}",
        "seedream serve": f"seedream serve --port {ports[1]}",
        "/srv/incoming": str(incoming),
    }
    del reader.environment["PREFECT_API_URL"]
    town.at(f"http://127.0.0.1:{ports[0]}")
    try:
        reader.follow("run-on-upload.md")
        looks = [each for each in reader.said if "Flow run finished" in each]
        assert len(looks) == 2
        found = town.runs("catalog-images-on-upload", 4)
        catalogs = {each["parameters"]["catalog"] for each in found}
        assert {str(incoming / "goods.csv"), "s3://shop/incoming/goods.csv"} < catalogs
        (first,) = [each for each in found if each["parameters"]["catalog"].endswith("catalog.csv")]
        until(lambda: _state(town, first["id"]) == "COMPLETED", "the run of the sample catalog", WITHIN_S)
        assert len(read(town.folder / ".demo/archive", first["id"])) == 48
    finally:
        _does(reader, "make", "server-down")
    assert town.gateways.bill()["submissions"] == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("page", sorted({path.name for path in HOW_TO.glob("*.md")} - set(SESSIONS)))
def test_a_page_does_what_it_says(reader: Reader, town: Town, page: str) -> None:
    """Somebody follows the page from its first command to its last; a page that nobody follows fails."""
    assert page in STORIES, f"nobody follows docs/how-to/{page}"
    missing = [each for each in ("bash", "curl", "make", "openssl") if shutil.which(each) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)}")
    assert not missing
    STORIES[page](reader, town)


def test_commands_in_running_text_are_commands() -> None:
    """What is mentioned beside the blocks exists: a command of `seedream`, or the beginning of one that somebody runs."""
    run = [each for page in STORIES for step in steps(page) if step.language == "sh" for each in commands(step)]
    for page, code in mentioned():
        program, *words = code.split()
        if program == "seedream":
            _find(words)
        elif program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: {code}"
        else:
            assert any(code in each for each in run), f"{page}: nobody runs `{code}`"


def _find(words: list[str]) -> None:
    command: click.Command = seedream
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"no such command: seedream {' '.join(words)}"
        command = found
