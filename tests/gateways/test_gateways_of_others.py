"""Gateways that other packages bring: the worked example of docs/write-a-gateway.md, and packages that cannot be loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from foreign_gateway import files, install
from on_offer import GATEWAYS
from sandbox_process import start_sandbox

from seedream_tasks.config.embedded_sandbox import bases_for
from seedream_tasks.config.environment import unknown_variables
from seedream_tasks.config.settings import configured
from seedream_tasks.core import market as offered
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.core.market import Market, market
from seedream_tasks.gateways import registry
from seedream_tasks.sandbox import stand_ins

# A whole run, its manifest's costs and whether all is archived, in a process that knows the package.
RUN = """
import json, sys
from pathlib import Path
from runs import run, write_catalog
catalog = write_catalog(Path("products.csv"), {"sku": "mug", "prompt": "A blue mug"}, {"sku": "bowl", "prompt": "Bowls", "n": 3})
ran = run(catalog, Path("out").absolute(), gateways=["atelier"])
print(json.dumps([[each["status"], each["gateway"], str(each["cost_usd"])] for each in ran.records]))
"""


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], Market]]:
    """Installs packages for this test, and says what is on offer with them."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def forget() -> None:
        for name in [each for each in sys.modules if each.startswith("seedream_atelier")]:
            del sys.modules[name]
        for kept in (offered.market, registry.dialect, stand_ins._loaded):
            kept.cache_clear()

    def installed(written: dict[str, str]) -> Market:
        install(tmp_path / "site", written)
        forget()
        return market()

    yield installed
    monkeypatch.undo()
    forget()


def changed(**texts: str) -> dict[str, str]:
    """The example's files, some of them with another text."""
    return {**files(), **{f"seedream_atelier/{name}.py": text for name, text in texts.items()}}


def test_the_worked_example_is_bought_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth gateway, in a package of its own: four images, a manifest with what they cost, and the stand-in's bill agrees."""
    install(tmp_path / "site", files())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "site"), str(Path(__file__).parents[1]))))
    with start_sandbox("--seconds", "0.05", "--image-px", "96") as sandbox:
        assert tuple(sandbox.bases) == (*GATEWAYS, "atelier")
        monkeypatch.setenv("SEEDREAM_ATELIER_API_KEY", "key-of-atelier")
        monkeypatch.setenv("SEEDREAM_ATELIER_BASE_URL", sandbox.bases["atelier"])
        for _ in range(2):  # what is there is not bought again
            done = subprocess.run(
                [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
            )
            assert done.returncode == 0, done.stderr
            bill = sandbox.bill()
            records = json.loads(done.stdout.splitlines()[-1])
            assert {(status, gateway) for status, gateway, _ in records} == {("archived", "atelier")}
            costs = [Decimal(cost) for *_, cost in records]
            assert sorted(costs) == [Decimal("0.05"), Decimal("0.15")]
            assert sum(costs) == Decimal(bill["by_gateway"]["atelier"]["usd"]) == Decimal(bill["usd"])
            assert bill["images"] == 4


def test_it_stands_in_every_list(bring: Callable[[dict[str, str]], Market]) -> None:
    """Limits, prices and variables of a package's gateway are known as those of ours are, after them."""
    known = bring(files())
    assert known.gateways == (*GATEWAYS, "atelier")
    assert known.prices[-1].usd == Decimal("0.05")
    assert not known.broken
    assert registry.dialect("atelier").submit_path == "/v1/orders"
    assert tuple(stand_ins.stand_ins()) == known.gateways
    assert unknown_variables(["SEEDREAM_ATELIER_API_KEY"]) == []
    assert known.why_not("nobody") == "unknown gateway 'nobody'; known: evolink, gccai, getimg, apiin, atelier"


def test_a_package_that_cannot_be_loaded_breaks_nobody_else(
    bring: Callable[[dict[str, str]], Market], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its name and the cause are told in a warning, and what does not use it goes on."""
    known = bring(changed(offers="import nothing_like_it\n"))
    assert known.gateways == GATEWAYS
    assert "the gateway atelier of the package seedream-atelier cannot be loaded: ModuleNotFoundError" in caplog.text
    assert configured(["evolink"], sandbox=True).names == ("evolink",)
    for name in ("ATELIER", "EVOLINK"):
        monkeypatch.setenv(f"SEEDREAM_{name}_API_KEY", "key")
    assert configured(["evolink"]).names == ("evolink",)


@pytest.mark.parametrize("named", [("atelier",), ()])
def test_whoever_uses_what_cannot_be_loaded_is_refused(
    named: tuple[str, ...], bring: Callable[[dict[str, str]], Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naming its gateway, or having its key configured, is an error with the same words."""
    bring(changed(offers="OFFERS = 5\n"))
    why = "the gateway atelier of the package seedream-atelier cannot be loaded: OFFERS is int"
    for name in ("ATELIER", "EVOLINK"):
        monkeypatch.setenv(f"SEEDREAM_{name}_API_KEY", "key")
    with pytest.raises(ConfigurationError, match=why):
        configured(named)
    assert unknown_variables(["SEEDREAM_ATELIER_API_KEY"]) == []


def test_a_dialect_that_cannot_be_loaded_is_refused_when_it_is_used(
    bring: Callable[[dict[str, str]], Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its offers stand in lists; whoever would buy there is told package and cause before anything begins."""
    assert "atelier" in bring(changed(dialect="raise RuntimeError('not today')\n")).gateways
    monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "key")
    assert configured().names == ("evolink",)
    monkeypatch.setenv("SEEDREAM_ATELIER_API_KEY", "key")
    monkeypatch.setenv("SEEDREAM_ATELIER_BASE_URL", "http://atelier.example")
    with pytest.raises(ConfigurationError, match="package seedream-atelier cannot be loaded: RuntimeError: not today"):
        configured()


def test_a_stand_in_that_cannot_be_loaded_is_told(
    bring: Callable[[dict[str, str]], Market], caplog: pytest.LogCaptureFixture
) -> None:
    """The sandbox serves the others; who asks for the gateway there by name is refused, who asks for all is told."""
    known = bring(changed(stand_in="STAND_IN = None.nothing\n"))
    assert tuple(stand_ins.stand_ins()) == GATEWAYS
    (line,) = stand_ins.unusable()
    assert line.startswith("no stand-in for atelier: seedream_atelier.stand_in: AttributeError")
    bases = {name: f"http://sandbox.example/{name}" for name in stand_ins.stand_ins()}
    with pytest.raises(ConfigurationError, match="the sandbox has no stand-in for atelier"):
        bases_for(bases, ["atelier"], asked_for=True)
    assert bases_for(bases, known.gateways, asked_for=False) == bases
    assert "no stand-in for atelier" in caplog.text


def test_a_state_that_holds_tasks_of_a_package_that_is_gone_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sandbox's bill would no longer add up: it says which package's gateway is missing, and does not start."""
    install(tmp_path / "site", files())
    state = tmp_path / "sandbox.db"
    with monkeypatch.context() as while_installed:
        while_installed.setenv("PYTHONPATH", str(tmp_path / "site"))
        with start_sandbox("--image-px", "96", state=state) as sandbox:
            order = {"model": "seedream-45", "text": "A mug"}
            sandbox.http.post(f"{sandbox.bases['atelier']}/v1/orders", json=order).raise_for_status()
    with pytest.raises(RuntimeError, match="exit status 1"):
        start_sandbox("--image-px", "96", state=state)
    assert "it holds tasks of atelier, for which there is no stand-in" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("evolink", "has a gateway of that name itself"),
        ("Atelier", "a gateway's name is 1 to 40"),
        ("sandbox", "not sandbox"),
        ("studio", "its offers are of atelier"),
    ],
)
def test_a_name_that_is_taken_or_none_is_told(name: str, why: str, bring: Callable[[dict[str, str]], Market]) -> None:
    """The package's gateway is left out; ours of that name is the one that is used."""
    written = files()
    written["pyproject.toml"] = written["pyproject.toml"].replace("atelier =", f"{name} =")
    known = bring(written)
    assert why in known.broken[name]
    assert known.gateways == GATEWAYS
    assert registry.dialect("evolink").default_base_url == "https://api.evolink.ai"


def test_two_packages_of_one_name_are_both_left_out(bring: Callable[[dict[str, str]], Market]) -> None:
    """Which of the two would be paid must not depend on the order in which they were installed."""
    other = {name.replace("_atelier/", "_other/"): text for name, text in files().items()}
    project = other["pyproject.toml"].replace("seedream-atelier", "seedream-other")
    other["pyproject.toml"] = project.replace('"seedream_atelier"', '"seedream_other"')
    bring(other)
    known = bring(files())
    assert known.gateways == GATEWAYS
    assert "seedream-atelier and seedream-other cannot be loaded: both bring one" in known.broken["atelier"]
