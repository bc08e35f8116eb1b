"""The progress of a pull in a pipe: plain lines on standard error, and nothing if nothing is pulled."""

import pytest

from agent.adapters.puller import Progress
from agent.cli import pull_progress

PULL = (
    Progress("a", "Pulling fs layer"),
    Progress("b", "Pulling fs layer"),
    Progress("c", "Already exists"),
    Progress("a", "Downloading", 300_000_000, 1_000_000_000),
    Progress("b", "Downloading", 1_000_000, 2_000_000),
    Progress("b", "Download complete"),
    Progress("b", "Extracting", 500_000, 2_000_000),
    Progress("b", "Pull complete"),
    Progress("", "Digest: sha256:d"),
)


def test_layers_and_bytes_are_counted_once() -> None:
    layers = pull_progress.Layers()
    for step in PULL:
        layers.take(step)
    assert (layers.counts, layers.bytes) == ("2 of 3 layers", (302_000_000, 1_002_000_000))


def test_a_pipe_gets_the_first_line_the_last_and_one_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([10.0, 10.1, 16.0, 16.0, 16.1, 16.2, 16.3, 16.4, 16.5, 16.6])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with pull_progress.shown("reg.io/a@sha256:d") as show:
        for step in PULL:
            show(step)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "pulling reg.io/a@sha256:d",
        "1 of 3 layers, 0 B of 0 B",
        "2 of 3 layers, 302 MB of 1.0 GB",
    ]
    assert captured.out == ""


def test_nothing_is_printed_if_nothing_is_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    with pull_progress.shown("reg.io/a@sha256:d"):
        pass
    assert capsys.readouterr() == ("", "")
