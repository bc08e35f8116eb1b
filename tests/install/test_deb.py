"""The Debian package: what is in it, who may change it, and what its scripts do. The program in it is a script here."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from agent.config import loading
from tests.install import packaging
from tests.support import proc
from tests.support.proc import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proc.require_program("dpkg-deb", "dpkg")
    folder = tmp_path_factory.mktemp("deb")
    return packaging.build(packaging.fake_program(folder), folder)


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package unpacks, and below DEBIAN what controls it."""
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder], check=True)
    return folder


def test_its_name_says_version_and_architecture(package: Path) -> None:
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    assert package.name == f"torchkeeper_{PROJECT['version']}_{architecture.stdout.strip()}.deb"


def test_it_needs_the_glibc_of_its_program(root: Path) -> None:
    control = (root / "DEBIAN/control").read_text()
    assert re.search(r"(?m)^Depends: libc6 \(>= 2\.\d+\), libgcc-s1, libstdc\+\+6, adduser, ", control)


def test_everything_in_it_belongs_to_root(package: Path) -> None:
    listing = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in listing.splitlines()} == {"root/root"}
    modes = {line.split()[0] for line in listing.splitlines()}
    assert modes == {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"}


def test_the_command_is_on_the_path(root: Path) -> None:
    assert (root / "usr/bin/torchkeeper").resolve() == root / "usr/lib/torchkeeper/torchkeeper"


def test_all_files_in_etc_are_the_administrators(root: Path) -> None:
    files = sorted(f"/{path.relative_to(root)}" for path in (root / "etc").rglob("*") if path.is_file())
    assert (root / "DEBIAN/conffiles").read_text().split() == files
    assert "/etc/torchkeeper/torchkeeper.toml" in files


def test_its_configuration_observes_and_is_otherwise_the_default(root: Path) -> None:
    settings = loading.load(root / "etc/torchkeeper/torchkeeper.toml")
    default = loading.load(ROOT / "config/torchkeeper.toml")
    assert settings.agent.mode == "observe"
    assert settings.model_copy(update={"agent": default.agent}) == default


def test_its_units_start_the_program_in_it(root: Path) -> None:
    unit = (root / "usr/lib/systemd/system/torchkeeper.service").read_text()
    assert "\nExecStart=/usr/bin/torchkeeper run\n" in unit
    assert (root / "usr/lib/systemd/system/torchkeeper-proxy.service").exists()


def test_it_has_manual_page_completions_licence_and_changes(root: Path) -> None:
    share = root / "usr/share"
    for path in ("man/man1/torchkeeper.1.gz", "doc/torchkeeper/copyright", "doc/torchkeeper/changelog.gz"):
        assert (share / path).stat().st_size > 0
    assert (share / "bash-completion/completions/torchkeeper").read_text() == "# completion bash\n"
    assert (share / "zsh/vendor-completions/_torchkeeper").read_text() == "# completion zsh\n"
    assert (share / "fish/vendor_completions.d/torchkeeper.fish").read_text() == "# completion fish\n"


def test_its_scripts_enable_and_start_nothing(root: Path) -> None:
    scripts = "".join((root / "DEBIAN" / name).read_text() for name in ("postinst", "prerm", "postrm"))
    assert "@" not in scripts
    assert "try-restart" in scripts
    for word in ("enable", "systemctl start", "invoke start", "invoke restart"):
        assert word not in scripts.replace("It enables and starts nothing", "")


def test_its_scripts_are_correct_shell(root: Path) -> None:
    for name in ("postinst", "prerm", "postrm"):
        assert subprocess.run(["sh", "-n", root / "DEBIAN" / name], check=False).returncode == 0


def test_without_a_unit_it_is_not_built(tmp_path: Path) -> None:
    program = packaging.fake_program(tmp_path)
    done = subprocess.run(
        [ROOT / ".ci/deb", "--program", program, "--units", tmp_path, "--output", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"deb: {tmp_path}/torchkeeper.service is missing\n")
