"""The Debian package on a clean Ubuntu 22.04 and a clean Debian 12: installed, upgraded, removed and purged."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.install.paths import chroots
from tests.install.paths.chroots import Chroot
from tests.install.paths.conftest import bootstrap
from tests.support import dockerd, images
from tests.support.proc import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]  # seconds, on a busy machine with a cold cache

PROGRAM, STATE, CONFIG = "/usr/bin/torchkeeper", "/var/lib/torchkeeper", "/etc/torchkeeper/torchkeeper.toml"
IMAGE = "teamai/pytorch:2.9.0-cuda12.8"


@dataclass(frozen=True)
class Installed:
    """What was seen of the package on one system after its installation."""

    version: str
    python: int  # exit code of `python3` there
    user: str
    check: dict[str, dict[str, object]]  # of `torchkeeper check --json`, by name
    berlin: int  # exit code of a command with a time zone that the system does not have
    listed: list[str]  # references that `torchkeeper images` shows of a real engine
    demo: str
    default: str  # what `torchkeeper config` prints


@dataclass(frozen=True)
class Life:
    """The same, and what was left after each further step."""

    installed: Installed
    after_upgrade: tuple[str, str]  # version, and the configuration's first line
    after_removal: set[str]  # which of the paths above are there
    after_purge: set[str]


@pytest.fixture(scope="module", params=["jammy", "bookworm"])
def life(request: pytest.FixtureRequest, package: Path, own_host: dockerd.Dockerd) -> Iterator[Life]:
    with chroots.unpacked(bootstrap("root", request.param)) as root:
        yield live(root, package, own_host)


@pytest.fixture(scope="module")
def own_host() -> Iterator[dockerd.Dockerd]:
    with dockerd.running() as engine:
        images.import_image(engine, IMAGE, env={"PYTORCH_VERSION": "2.9.0"})
        yield engine


def install(root: Chroot, package: Path, engine: dockerd.Dockerd) -> Installed:
    root.must("dpkg", "--install", root.put(package))
    os.link(engine.socket, root.path("/root/docker.sock"))
    url = "unix:///root/docker.sock"
    check = root.run("torchkeeper", "check", "--json", DOCKER_HOST=url)
    berlin = root.run("torchkeeper", "plan", DOCKER_HOST=url, TORCHKEEPER_SCHEDULE__TIMEZONE="Europe/Berlin")
    listed = json.loads(root.run("torchkeeper", "images", "--json", DOCKER_HOST=url).stdout)["images"]
    return Installed(
        version=root.must("torchkeeper", "--version").strip(),
        python=root.run("sh", "-c", "command -v python3").returncode,
        user=root.must("getent", "passwd", "torchkeeper").split(":")[5],
        check={row["name"]: row for row in json.loads(check.stdout)["checks"]},
        berlin=berlin.returncode,
        listed=[reference for image in listed for reference in image["references"]],
        demo=root.run("torchkeeper", "demo", "--page").stderr,
        default=root.must("torchkeeper", "config"),
    )


def live(root: Chroot, package: Path, engine: dockerd.Dockerd) -> Life:
    installed = install(root, package, engine)
    config = root.path(CONFIG)
    config.write_text(f"# of this host\n{config.read_text()}")
    root.path(STATE).mkdir(exist_ok=True)
    root.path(f"{STATE}/state.db").touch()
    root.must("dpkg", "--install", root.put(newer(package)))
    upgraded = root.must("dpkg-query", "--show", "--showformat=${Version}", "torchkeeper")
    line = config.read_text().splitlines()[0]
    root.must("dpkg", "--remove", "torchkeeper")
    removed = there(root)
    root.must("dpkg", "--purge", "torchkeeper")
    return Life(installed, after_upgrade=(upgraded, line), after_removal=removed, after_purge=there(root))


def newer(package: Path) -> Path:
    """The same package as version 99."""
    folder = package.parent / "newer"
    target = package.parent / "newer.deb"
    if not target.exists():
        subprocess.run(["dpkg-deb", "--raw-extract", package, folder], check=True)
        control = folder / "DEBIAN/control"
        control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 99+", 1))
        subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--build", folder, target], check=True, capture_output=True)
    return target


def there(root: Chroot) -> set[str]:
    return {name for name in (PROGRAM, STATE, CONFIG) if os.path.lexists(root.path(name))}


def test_it_installs_where_there_is_no_python(life: Life) -> None:
    assert life.installed.python != 0
    assert life.installed.version.startswith("torchkeeper ")


def test_the_agent_gets_a_user_of_its_own(life: Life) -> None:
    assert life.installed.user == STATE


def test_it_reads_its_configuration_and_reaches_the_engine(life: Life) -> None:
    assert life.installed.check["configuration"]["ok"]
    assert "mode observe" in str(life.installed.check["configuration"]["detail"])
    assert life.installed.check["engine"]["ok"]


def test_it_judges_the_images_of_an_engine(life: Life) -> None:
    assert life.installed.listed == [IMAGE]


def test_it_brings_the_time_zones_of_the_schedule(life: Life) -> None:
    assert life.installed.berlin == 0


def test_it_says_that_it_has_no_monitor_and_what_to_do(life: Life) -> None:
    assert life.installed.demo == (
        "torchkeeper: torchkeeper demo --page needs: packages that the Debian package does not contain; "
        "in an environment of its own: pip install 'torchkeeper[monitor]'\n"
    )


def test_it_prints_the_default_configuration(life: Life) -> None:
    assert life.installed.default == (ROOT / "config/torchkeeper.toml").read_text()


def test_an_upgrade_keeps_the_configuration(life: Life) -> None:
    version, line = life.after_upgrade
    assert version.startswith("99+")
    assert line == "# of this host"


def test_a_removal_keeps_configuration_and_state(life: Life) -> None:
    assert life.after_removal == {STATE, CONFIG}


def test_a_purge_deletes_both(life: Life) -> None:
    assert life.after_purge == set()
