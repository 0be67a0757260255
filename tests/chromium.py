"""A real headless Chromium, driven over its DevTools websocket with what is installed anyway (aiohttp)."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0"),
    "--disable-dev-shm-usage",
)
_WITHIN_S = 300.0
_CODES = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Page:
    """One tab. Every call blocks; what the page logged as an error stands in `errors`."""

    def __init__(self, runner: asyncio.Runner, socket: aiohttp.ClientWebSocketResponse, downloads: Path) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.downloads = downloads
        self._runner = runner
        self._socket = socket
        self._ids = itertools.count(1)
        self._loaded = 0
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command and its result."""
        return self._runner.run(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=_WITHIN_S)).data)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._heard(message.get("method", ""), message.get("params", {}))

    def _heard(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded += 1
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(facts["exceptionDetails"])[:2000])
        elif event == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "assert"):
            self.errors.append(json.dumps(facts["args"])[:2000])
        elif event == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif event == "Page.javascriptDialogOpening":
            self.errors.append(f"a dialog: {facts['message']}")

    def open(self, url: str) -> None:
        """Load a page to its end."""
        before = self._loaded
        self.call("Page.navigate", url=url)
        self.wait(lambda: bool(self.js("true")) and self._loaded > before, f"{url} is loaded")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for something to become true in the page."""
        self.wait(lambda: bool(self.js(expression)), expression)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something to become true."""
        until = time.monotonic() + _WITHIN_S
        while not condition():
            assert time.monotonic() < until, f"never true: {what}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """One key, as typed on a keyboard."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"windowsVirtualKeyCode": _CODES[key]} if key in _CODES else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def type(self, text: str) -> None:
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """The mouse, on the middle of the first element that matches."""
        box = self.js(f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                      " return [b.x + b.width / 2, b.y + b.height / 2]; })()")  # fmt: skip
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screen(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """The size and the colours of the screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def screenshot(self, path: Path) -> None:
        """What the screen shows, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser of its own with one empty tab; `folder` takes what it downloads."""
    assert PROGRAM is not None
    profile = Path(tempfile.mkdtemp(prefix="seedream-chromium-"))
    process = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with asyncio.Runner() as runner:
            session, socket = runner.run(_connect(profile / "DevToolsActivePort"))
            try:
                page = Page(runner, socket, folder)
                page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
                yield page
            finally:
                runner.run(session.close())
    finally:
        process.terminate()
        process.wait(timeout=_WITHIN_S)
        shutil.rmtree(profile, ignore_errors=True)


async def _connect(port_file: Path) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    until = time.monotonic() + _WITHIN_S
    while not port_file.exists() or not port_file.read_text().strip():
        assert time.monotonic() < until, "Chromium does not start"
        await asyncio.sleep(0.05)
    port = port_file.read_text().split()[0]
    session = aiohttp.ClientSession()
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        (tab,) = [each for each in await answer.json(content_type=None) if each["type"] == "page"]
    return session, await session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
