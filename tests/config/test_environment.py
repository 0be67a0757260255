"""The project's own variables: one class reads them, checks their form and says what each means."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedream_tasks.config.environment import Environment, known_variables, unknown_variables, variable
from seedream_tasks.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "seedream_tasks"
SECRET = "s3cret"


def test_nothing_is_set_by_default() -> None:
    """Every variable may be missing, and each has its meaning beside it."""
    environment = Environment()
    assert (environment.polling, environment.verify, environment.debug) == ("on", "full", False)
    assert environment.allow_hosts.names == frozenset()
    unset = environment.model_dump(exclude={"polling", "verify", "debug", "allow_hosts"})
    assert not any(unset.values()), unset
    assert all(len(meaning) > 10 for meaning in known_variables().values())


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_variable_is_an_unset_one(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files and CI leave them."""
    for field in Environment.model_fields:
        monkeypatch.setenv(variable(field), blank)
    assert Environment().model_dump(exclude={"allow_hosts"}) == {
        **dict.fromkeys(set(Environment.model_fields) - {"allow_hosts"}),
        "reference_roots": "",
        "polling": "on",
        "verify": "full",
        "debug": False,
    }


def test_what_is_set_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words in any case, numbers with spaces around them, places letter by letter."""
    for field, text in {
        "archive": "/srv/a b ",
        "polling": " OFF",
        "verify": "Header",
        "in_flight": " 12 ",
        "allow_hosts": "shop.lan:8080, 10.0.0.0/8",
        "proxy": "http://user:pw@proxy.example:3128",
        "debug": "0",
    }.items():
        monkeypatch.setenv(variable(field), text)
    environment = Environment()
    assert (environment.archive, environment.polling, environment.verify) == ("/srv/a b ", "off", "header")
    assert (environment.in_flight, environment.submits_per_minute, environment.debug) == (12, None, True)
    assert environment.allow_hosts.holds("shop.lan", 8080, "192.168.0.1")
    assert environment.proxy is not None
    assert environment.proxy.auth == ("user", "pw")
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "7")
    assert Environment().in_flight == 7


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("polling", "sometimes", "is on or off, not 'sometimes'"),
        ("verify", "half", "is full or header, not 'half'"),
        ("in_flight", "many", "is not a number above zero: 'many'"),
        ("in_flight", "0", "is not a number above zero: '0'"),
        ("submits_per_minute", "-1", "is not a number above zero: '-1'"),
        ("polls_per_second", "1.5", "is not a number above zero: '1.5'"),
        ("polls_per_second", "²", "is not a number above zero: '²'"),
        ("allow_hosts", "http://shop.lan", "'http://shop.lan' is no host"),
        ("proxy", "socks5://h:1", "is not the address of an HTTP proxy"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    field: str, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, what it holds and what it may hold; whoever reads any setting is told."""
    monkeypatch.setenv(variable(field), text)
    with pytest.raises(ConfigurationError) as refused:
        Environment()
    assert refused.value.facts["field"] == variable(field)
    assert variable(field) in refused.value.message
    assert says in refused.value.message


def test_no_text_form_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key, nor the password of a ledger or a proxy, nor the secret of upload notices."""
    for name, value in {
        "SEEDREAM_LEDGER": f"postgresql://u:{SECRET}@h/x",
        "SEEDREAM_PROXY": f"http://u:{SECRET}@h:1",
        "SEEDREAM_UPLOAD_SECRET": SECRET,
        "SEEDREAM_EVOLINK_API_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    environment = Environment()
    assert environment.gateway("evolink").api_key == SECRET
    assert SECRET not in f"{environment!r} {environment} {environment.gateway('evolink')!r}"


def test_a_file_beside_the_process_sets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables come from the process alone: no .env of a folder in which a command happens to be started."""
    (tmp_path / ".env").write_text("SEEDREAM_ARCHIVE=/elsewhere\n")
    monkeypatch.chdir(tmp_path)
    assert Environment().archive is None


def test_an_unknown_variable_is_told_with_the_nearest_that_there_is() -> None:
    """Only what begins like ours; a known name in small letters is not read, and said so."""
    assert unknown_variables(["PATH", "SEEDREAM_LEDGER", "SEEDREAM_EVOLINK_API_KEY"]) == []
    assert unknown_variables(["seedream_ledger", "SEEDREAM_0123456789", "SEEDREAM_IN_FLIHGT"]) == [
        "SEEDREAM_0123456789 is not a setting and is ignored",
        "SEEDREAM_IN_FLIHGT is not a setting and is ignored; did you mean SEEDREAM_IN_FLIGHT?",
        "seedream_ledger is not a setting and is ignored; did you mean SEEDREAM_LEDGER?",
    ]


def test_every_name_in_the_code_and_the_deployments_is_a_variable_of_the_class() -> None:
    """A message that advises one, or a deployment that takes one, names a setting that there is."""
    files = [*PACKAGE.rglob("*.py"), ROOT / "prefect.yaml"]
    source = "\n".join(path.read_text("utf-8") for path in files)
    assert set(re.findall(r"\bSEEDREAM_[A-Z_]*[A-Z]\b", source)) <= set(known_variables())


def _reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a variable of the process is read, and its name as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called in ("os.environ.get", "os.environ.pop", "os.getenv", "environ.get", "getenv"):
                yield node.lineno, ast.unparse(node.args[0])
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and ast.unparse(node.value) in ("os.environ", "environ")
        ):
            yield node.lineno, ast.unparse(node.slice)


def test_nothing_but_the_class_reads_a_variable_of_ours() -> None:
    """Elsewhere a variable is read by its name as it stands there, and that is not one of ours."""
    found = [
        f"{path.relative_to(ROOT)}:{line} reads {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "config" / "environment.py"
        for line, name in _reads(ast.parse(path.read_text("utf-8")))
        if not re.fullmatch(r"'(?!SEEDREAM_)\w+'", name)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("os.environ.get('SEEDREAM_X')", ["'SEEDREAM_X'"]),
        ("os.environ[name]", ["name"]),
        ("os.getenv(f'SEEDREAM_{x}')", ["f'SEEDREAM_{x}'"]),
        ("os.environ['A'] = b", []),
        ("environ.get('A', 1)", ["'A'"]),
    ],
)
def test_the_check_sees_what_is_read(code: str, reads: list[str]) -> None:
    """Whatever the spelling; what is written is another matter."""
    assert [name for _, name in _reads(ast.parse(code))] == reads
