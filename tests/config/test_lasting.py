"""What is paid for is kept where it stays: memory, a worker's own folder, a container's own layer."""

from pathlib import Path

import pytest

from seedream_tasks.config.durability import check_it_lasts, outside_of_volumes
from seedream_tasks.core.errors import ConfigurationError

MOUNTS = """\
22 1 0:21 / / rw,relatime - overlay overlay rw
23 22 0:22 / /dev/shm rw - tmpfs tmpfs rw
24 22 8:1 /data /srv/my\\040images rw,relatime shared:1 - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    "archive",
    ["memory://x", "Memory://x", "memory://", "simplecache::memory://x", "filecache::s3://b/x", "simplecache::/tmp/x"],
)
def test_what_ends_with_the_process_is_no_archive(archive: str) -> None:
    """Real or simulated, run by a deployment or not, given or from the environment."""
    for simulated in (True, False):
        with pytest.raises(ConfigurationError) as refused:
            check_it_lasts(archive, "sqlite:////srv/l.db", simulated)
        assert refused.value.as_json()["code"] == "archive_not_durable"


@pytest.mark.parametrize(
    ("archive", "ledger"),
    [
        (None, None),
        ("pictures", None),
        ("./images", None),
        ("file://images", None),
        ("/srv/images", "sqlite:///ledger.db"),
    ],
)
def test_a_relative_place_is_refused_in_the_run_of_a_deployment_only(archive: str | None, ledger: str | None) -> None:
    """Its worker may make the folder anew; on the command line the folder is the user's own."""
    check_it_lasts(archive, ledger, simulated=False)
    with pytest.raises(ConfigurationError) as refused:
        check_it_lasts(archive, ledger, simulated=False, of_deployment=True)
    assert refused.value.as_json()["code"] == "archive_not_durable"


@pytest.mark.parametrize("archive", ["/srv/images", "~/images", "file:///srv/images", "s3://bucket/images"])
def test_a_place_that_stays_is_taken(archive: str) -> None:
    """Absolute paths and stores."""
    check_it_lasts(archive, "postgresql://ledger.example/x", simulated=False, of_deployment=True)
    check_it_lasts(archive, "sqlite:////srv/ledger.db", simulated=False, of_deployment=True)


def test_the_environment_counts_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEEDREAM_ARCHIVE and SEEDREAM_LEDGER are looked at like parameters."""
    monkeypatch.setenv("SEEDREAM_ARCHIVE", "memory://x")
    with pytest.raises(ConfigurationError):
        check_it_lasts(None, None, simulated=False)
    monkeypatch.setenv("SEEDREAM_ARCHIVE", "/srv/images")
    monkeypatch.setenv("SEEDREAM_LEDGER", "sqlite:///ledger.db")
    with pytest.raises(ConfigurationError):
        check_it_lasts(None, None, simulated=False, of_deployment=True)


def _machine(folder: Path, container: str) -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/1").mkdir()
    (folder / "proc/self/mountinfo").write_text(
        MOUNTS if container != "no" else MOUNTS.replace("overlay overlay", "ext4 /dev/sdb1")
    )
    (folder / "proc/1/cgroup").write_text("0::/kubepods/pod1\n" if container == "cgroup" else "0::/\n")
    if container == "docker":
        (folder / ".dockerenv").touch()
    return folder


@pytest.mark.parametrize("container", ["docker", "cgroup", "overlay"])
def test_in_a_container_only_a_volume_stays(tmp_path: Path, container: str) -> None:
    """The container's own layer and what is kept in memory end with it; a mounted volume does not."""
    machine = _machine(tmp_path, container)
    assert outside_of_volumes(Path("/app/seedream-out"), machine)
    assert outside_of_volumes(Path("/dev/shm/out"), machine)  # noqa: S108 - nothing is written there
    assert not outside_of_volumes(Path("/srv/my images/out"), machine)


def test_outside_of_containers_nothing_is_said(tmp_path: Path) -> None:
    """A laptop's disk stays."""
    assert not outside_of_volumes(Path("/home/me/seedream-out"), _machine(tmp_path, "no"))
