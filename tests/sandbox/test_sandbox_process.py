"""The process: command line, ready line, signals, and the state file that survives a kill."""

import ast
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from gateway_calls import GATEWAYS, ask, data_uri, held_call, image, links, order, submit
from sandbox_process import start_sandbox

COMMAND = [sys.executable, "-m", "seedream_tasks.sandbox"]


def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    """Killed and started again with the same state: bill, counts, clock and faults are as before, tasks finish."""
    state = tmp_path / "sandbox.db"
    with start_sandbox("--seconds", "100", "--image-px", "64", state=state) as sandbox:
        sandbox.advance(50)
        sandbox.faults([{"kind": "http_500", "count": 2}, {"kind": "fewer_images", "match": "few"}])
        assert [submit(sandbox, "evolink").status_code for _ in range(3)] == [500, 500, 200]
        running = sandbox.bill()["entries"][0]["task_id"]
        few = order(sandbox, "evolink", prompt="few", n=3)
        sandbox.advance(100)
        late = order(sandbox, "gccai", image_urls=[data_uri(image())])
        before = sandbox.bill()
        old_url = links("evolink", ask(sandbox, "evolink", few).json())[0]
        old_bytes = sandbox.http.get(old_url).content
        before["entries"][1]["downloads"] = 1
        sandbox.kill()
    with start_sandbox("--seconds", "100", "--image-px", "64", state=state) as sandbox:
        after = sandbox.bill()
        assert after["entries"] == before["entries"]
        assert after["submissions"] == before["submissions"]
        assert after["requests"]["POST /evolink/v1/images/generations"] == 4
        assert order(sandbox, "evolink")  # the fault of count 2 has fired twice already
        new_url = links("evolink", ask(sandbox, "evolink", few).json())[0]
        assert new_url.startswith(sandbox.url)
        assert sandbox.http.get(new_url).content == old_bytes
        assert ask(sandbox, "evolink", running).json()["status"] == "completed"
        assert ask(sandbox, "gccai", late).json()["data"]["status"] in ("submitted", "processing")
        sandbox.advance(100)
        answer = ask(sandbox, "gccai", late).json()
        assert sandbox.http.get(links("gccai", answer)[0]).status_code == 200
        order(sandbox, "evolink")
        assert len({entry["task_id"] for entry in sandbox.bill()["entries"]}) == 5


def test_a_held_call_that_a_kill_cut_off_is_still_billed(tmp_path: Path) -> None:
    """A synchronous call is on the bill from its acceptance; after a restart it ends and is charged."""
    state = tmp_path / "sandbox.db"
    with start_sandbox("--seconds", "100", state=state) as sandbox:
        call = held_call(sandbox)
        sandbox.kill()
        assert call.exception(timeout=10) is not None
    with start_sandbox("--seconds", "100", state=state) as sandbox:
        sandbox.advance(100)
        entry = sandbox.bill()["entries"][0]
        assert (entry["status"], entry["usd"]) == ("completed", "0.04")


def test_uploads_and_damage_survive_a_kill(tmp_path: Path) -> None:
    """An uploaded file is still a reference after a restart, on whatever port; a damaged image stays damaged."""
    state = tmp_path / "sandbox.db"
    with start_sandbox("--seconds", "0", "--image-px", "64", state=state) as sandbox:
        sandbox.faults([{"kind": "corrupt_image", "count": 1}])
        base = sandbox.bases["evolink"] + "/files/api/v1/files/upload/stream"
        facts = sandbox.http.post(base, files={"file": ("a.jpg", image())}).json()["data"]
        task = order(sandbox, "evolink")
        broken = sandbox.http.get(links("evolink", ask(sandbox, "evolink", task).json())[0]).content
        sandbox.kill()
    with start_sandbox("--seconds", "0", "--image-px", "64", state=state) as sandbox:
        edit = order(sandbox, "evolink", image_urls=[facts["file_url"]])
        assert ask(sandbox, "evolink", edit).json()["status"] == "completed"
        sandbox.faults([])
        assert sandbox.http.get(links("evolink", ask(sandbox, "evolink", task).json())[0]).content == broken


def test_one_state_file_has_one_sandbox(tmp_path: Path) -> None:
    """A second sandbox on the same file says so and ends with 1."""
    with start_sandbox(state=tmp_path / "sandbox.db"):
        command = [*COMMAND, "--port", "0", "--state", str(tmp_path / "sandbox.db")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert "sandbox.db" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_ready_line_and_health(tmp_path: Path) -> None:
    """The first line on stdout names the address of every gateway; health answers by then."""
    with start_sandbox() as sandbox:
        assert sandbox.bases == {name: f"{sandbox.url}/{name}" for name in GATEWAYS}
        assert sandbox.http.get(f"{sandbox.url}/sandbox/health").status_code == 200


def test_signals_end_it_at_once_even_with_a_call_open() -> None:
    """SIGTERM ends it with 0, whatever is still running."""
    with start_sandbox("--seconds", "1000") as sandbox:
        call = held_call(sandbox)
        assert sandbox.stop() == 0
        assert call.exception(timeout=10) is not None


def test_it_ends_with_its_stdin() -> None:
    """With --exit-with-stdin it does not outlive the parent that held its stdin."""
    with start_sandbox() as sandbox:
        assert sandbox.process.stdin is not None
        sandbox.process.stdin.close()
        assert sandbox.process.wait(timeout=10) == 0


def test_a_port_in_use_is_said_plainly() -> None:
    """Exit 1 and a sentence, no traceback."""
    with start_sandbox() as sandbox:
        port = sandbox.url.rpartition(":")[2]
        second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert port in second.stderr
    assert "Traceback" not in second.stderr


def test_prices_are_printed(tmp_path: Path) -> None:
    """--prices prints the price file and ends."""
    done = subprocess.run([*COMMAND, "--prices"], capture_output=True, text=True, timeout=30, check=True)
    assert 'seedream-4.5: {"*": {usd: 0.031, credits: 2.25}}' in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "99999"],
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--image-px", "0"],
        ["--estimate-error", "much"],
        ["--faults", "/nowhere.json"],
        ["--no-such-option"],
    ],
)
def test_wrong_options_end_with_2(arguments: list[str]) -> None:
    """A wrong value: exit 2, and a message that names the option."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


@pytest.mark.parametrize("text", ['[{"kind": "http_500"}]', "- kind: http_500\n  gateway: apiin\n"])
def test_faults_can_be_given_at_the_start(tmp_path: Path, text: str) -> None:
    """--faults reads JSON or YAML; estimates can be switched off."""
    path = tmp_path / "faults"
    path.write_text(text)
    with start_sandbox("--faults", str(path), "--estimate-error", "none") as sandbox:
        assert submit(sandbox, "apiin").status_code == 500
        sandbox.faults([])
        assert "estimated_time" not in submit(sandbox, "evolink").json()["task_info"]


def test_a_wrong_fault_file_ends_with_2(tmp_path: Path) -> None:
    """A mistake in the fault list is named."""
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"kind": "nothing"}]))
    done = subprocess.run([*COMMAND, "--faults", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "'nothing'" in done.stderr


def test_what_a_client_knows_of_is_in_the_file(tmp_path: Path) -> None:
    """Killed in the middle of many submits: every task whose answer arrived is on the bill after the restart."""
    state = tmp_path / "sandbox.db"
    known: list[str] = []
    enough = threading.Event()
    with start_sandbox("--seconds", "0", "--image-px", "64", state=state) as sandbox:

        def buy() -> None:
            with contextlib.suppress(httpx.TransportError):
                while True:
                    known.append(order(sandbox, "evolink"))
                    if len(known) > 100:
                        enough.set()

        buyers = [threading.Thread(target=buy) for _ in range(8)]
        for buyer in buyers:
            buyer.start()
        assert enough.wait(timeout=30)
        sandbox.process.kill()
        for buyer in buyers:
            buyer.join()
    with start_sandbox("--seconds", "0", "--image-px", "64", state=state) as sandbox:
        bill = sandbox.bill()
        assert set(known) <= {entry["task_id"] for entry in bill["entries"]}
        assert bill["accepted"] <= bill["submissions"]
        assert {entry["status"] for entry in bill["entries"]} == {"completed"}


def test_it_shares_nothing_with_what_it_tests() -> None:
    """The witness imports no rule, table or price of the plugin: only itself. So does each stand-in, in its gateway's folder."""
    import seedream_tasks.sandbox

    package = Path(seedream_tasks.__file__).parent
    stand_ins = list(package.glob("gateways/*/stand_in.py"))
    assert len(stand_ins) == len(GATEWAYS)
    for path in (*package.joinpath("sandbox").rglob("*.py"), *stand_ins):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module or ""]
            for name in names:
                ours = name == "seedream_tasks" or name.startswith("seedream_tasks.")
                assert not ours or name.startswith("seedream_tasks.sandbox"), f"{path} imports {name}"
