"""A log line for a person at a console, and for a collector of JSON lines."""

import json
import re
from collections.abc import Iterator

import pytest
import structlog

from agent import logs

TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d"


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def write(*, quiet: bool = False, style: str = "console", host: str = "gpu-07") -> None:
    logs.configure(style, host=host, quiet=quiet)  # type: ignore[arg-type]
    log = structlog.get_logger()
    log.info("evicted", action="evict", image="team/torch:1", freed_bytes=125_000_000, error=None)
    log.warning("disk 91% full", action="alert", alert="disk-full-nothing-evictable")
    log.warning("gap in event coverage", action="gap", host="another")


def test_a_line_on_a_console_has_whole_seconds_and_bytes_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    write()
    first = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(rf"{TIME}Z \[info +\] evicted action=evict freed='125 MB' image=team/torch:1", first)


def test_a_json_line_has_the_host_the_level_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    write(style="json")
    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(rf"{TIME}\.\d+Z", first.pop("timestamp"))
    assert first == {
        "event": "evicted",
        "level": "info",
        "host": "gpu-07",
        "action": "evict",
        "image": "team/torch:1",
        "freed_bytes": 125_000_000,
    }
    assert (second["level"], second["host"], third["host"]) == ("warning", "gpu-07", "another")


def test_a_command_that_prints_its_result_logs_warnings_and_no_alerts(capsys: pytest.CaptureFixture[str]) -> None:
    write(quiet=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert "gap in event coverage" in line


def test_a_second_configuration_names_the_host_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", host="container-id")
    log = structlog.get_logger()
    log.info("waiting")
    logs.configure("json", host="gpu-07")
    log.info("starting")
    assert [json.loads(line)["host"] for line in capsys.readouterr().err.splitlines()] == ["container-id", "gpu-07"]
