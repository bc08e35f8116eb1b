"""The settings in force: each with its value as the file would have it, and with its source."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.config import effective, loading, templates
from agent.config.settings import Settings
from tests.support.proc import ROOT, torchkeeper

FILE = """
[agent]
mode = "observe"
[policy]
ttl = "30d"
keep_newest = 2
rules = [{match = "a/*", ttl = "7d"}, {match = "b/*", keep = true}]
[pressure]
high = "85.5%"
low = "75%"
[limits]
bytes_per_hour = "10GiB"
[schedule]
windows = ["Mon-Fri 02:00-05:00"]
[monitor.auth]
mode = "token"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "torchkeeper.toml"
    path.write_text(FILE)
    return path


def found(file: Path | None, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[effective.Setting]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings = loading.load(file, default=Path("/none"))
    return effective.find(settings, file, loading.read(file) if file else {}, environ)


def changed(settings: list[effective.Setting]) -> dict[str, tuple[Any, str, str]]:
    return {".".join(one.path): (one.value, one.source, one.place) for one in settings if one.source != "default"}


def test_each_key_has_the_source_that_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "TORCHKEEPER_POLICY__TTL": "7d",
        "torchkeeper_usage__gap_tolerance": "2m",
        "TORCHKEEPER_IMAGES": '{"include": ["team/*"], "ambiguous": "evict"}',
        "TORCHKEEPER_IMAGES__AMBIGUOUS": "keep",
        "TORCHKEEPER_MONITOR__AUTH__USER_HEADER": "X-User",
        "TORCHKEEPER_CONFIG": "/elsewhere",
    }
    rules = [
        {"match": "a/*", "ttl": "7d", "keep": False, "keep_newest": None, "local_images": None},
        {"match": "b/*", "ttl": None, "keep": True, "keep_newest": None, "local_images": None},
    ]
    assert changed(found(file, environ, monkeypatch)) == {
        "agent.mode": ("observe", "file", str(file)),
        "images.include": (["team/*"], "environment", "TORCHKEEPER_IMAGES"),
        "images.ambiguous": ("keep", "environment", "TORCHKEEPER_IMAGES__AMBIGUOUS"),
        "policy.ttl": ("7d", "environment", "TORCHKEEPER_POLICY__TTL"),
        "policy.keep_newest": (2, "file", str(file)),
        "policy.rules": (rules, "file", str(file)),
        "pressure.high": ("85.5%", "file", str(file)),
        "pressure.low": ("75%", "file", str(file)),
        "limits.bytes_per_hour": ("10GiB", "file", str(file)),
        "schedule.windows": (["Mon-Fri 02:00-05:00"], "file", str(file)),
        "usage.gap_tolerance": ("2m", "environment", "torchkeeper_usage__gap_tolerance"),
        "monitor.auth.mode": ("token", "file", str(file)),
        "monitor.auth.user_header": ("X-User", "environment", "TORCHKEEPER_MONITOR__AUTH__USER_HEADER"),
    }


def test_what_is_printed_is_a_configuration_with_the_same_settings(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text("\n".join(effective.as_toml(found(file, {}, monkeypatch))))
    assert loading.load(copy) == loading.load(file) != Settings()


def test_a_password_in_an_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"TORCHKEEPER_MONITOR__DATABASE": "postgresql://user:secret@host/fleet"}
    assert changed(found(None, environ, monkeypatch))["monitor.database"][0] == "postgresql://user:***@host/fleet"


def test_the_command_prints_the_default_configuration() -> None:
    done = torchkeeper("config")
    assert (done.returncode, done.stdout) == (0, (ROOT / "config" / "torchkeeper.toml").read_text())
    assert templates.default_configuration() == done.stdout


def test_the_command_prints_the_settings_in_force(file: Path) -> None:
    plain, document = (torchkeeper("config", "--effective", *more, config=file) for more in ((), ("--json",)))
    assert (plain.returncode, document.returncode) == (0, 0)
    assert f'mode = "observe"                           # {file}' in plain.stdout.splitlines()
    assert tomllib.loads(plain.stdout)["policy"]["ttl"] == "30d"
    parsed = json.loads(document.stdout)
    assert (parsed["file"], parsed["settings"]["policy.ttl"]) == (
        str(file),
        {"value": "30d", "source": "file", "from": str(file)},
    )


def test_json_of_the_default_configuration_is_refused() -> None:
    done = torchkeeper("config", "--json")
    assert (done.returncode, done.stdout, "--json needs --effective" in done.stderr) == (2, "", True)
