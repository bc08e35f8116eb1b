"""The documents of the deployment name files, links and variables that there are, and configurations that work."""

import re
import subprocess
from pathlib import Path

import pytest

from agent.config import loading
from tests.deployment.files import CONFIG, ROOT

PAGES = ("compose", "fleet", "kubernetes", "systemd")
GENERATED = {"config/proxy/haproxy.cfg", "config/proxy/haproxy-observe.cfg"}  # by `make proxy`


def text_of(page: str) -> str:
    return (ROOT / f"docs/{page}.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_and_make_targets_that_there_are(page: str) -> None:
    text = text_of(page)
    named = set(re.findall(r"config/[\w./-]*[\w/]", text))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} <= GENERATED
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_a_page_links_to_pages_that_there_are(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(page))
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_each_variable_of_host_yaml_is_in_its_page() -> None:
    used = set(re.findall(r"\$\{(\w+)", (CONFIG / "compose/host.yaml").read_text()))
    described = set(re.findall(r"`([A-Z_]+)`", text_of("compose")))
    assert used - {"ENGINE_SOCKET"} <= described


def test_the_configuration_of_the_monitor_as_a_service_works(tmp_path: Path) -> None:
    config = tmp_path / "monitor.toml"
    config.write_text(text_of("systemd").split("```toml\n")[1].split("```")[0])
    settings = loading.load(config)
    assert settings.monitor.database == "sqlite:////var/lib/torchkeeper-monitor/fleet.db"
    assert (CONFIG / "systemd/torchkeeper-monitor.service").read_text().count("/var/lib/torchkeeper-monitor") >= 2


def test_the_lines_for_the_proxy_make_a_configuration_that_works(tmp_path: Path) -> None:
    [line] = re.findall(r"(?m)^    (printf .*) >>/etc/torchkeeper/torchkeeper.toml$", text_of("systemd"))
    made = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    config = tmp_path / "torchkeeper.toml"
    config.write_text('[agent]\nmode = "observe"\n' + made)
    assert loading.load(config).docker.url == "unix:///run/torchkeeper/docker.sock"


def test_the_paths_of_debian_replace_all_paths_of_the_image() -> None:
    [script] = re.findall(r"sed '(s#/mosquitto/config#.*?)'", text_of("fleet"))
    changed = subprocess.run(
        ["sed", script, CONFIG / "mosquitto/mosquitto.conf"], capture_output=True, text=True, check=True
    ).stdout
    keys = [line for line in changed.splitlines() if line and not line.startswith("#")]
    assert [line for line in keys if "/mosquitto/config" in line or "/mosquitto/data" in line] == []
    assert {"acl_file /etc/mosquitto/acl", "persistence_location /var/lib/mosquitto/"} <= set(keys)


def test_the_figures_of_exposure_are_those_that_are_tested() -> None:
    for unit, figure in (("torchkeeper.service", "1.5"), ("torchkeeper-proxy.service", "0.4")):
        assert f"gives it {figure}" in (CONFIG / "systemd" / unit).read_text()
        assert figure in text_of("systemd")
