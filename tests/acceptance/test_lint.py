"""`torchkeeper lint` on a real engine."""

import pytest

from tests.acceptance.host import NAME, RealHost
from tests.support import engines

pytestmark = engines.ON_ONE

GOOD = "teamai/pytorch:2.9-cuda12.6"
CUDA = {"CUDA_VERSION": "12.6.3"}


@pytest.fixture
def misnamed(lone_host: RealHost) -> dict[str, str]:
    """One image of each fault, one without, and images that lint ignores: short name -> ID."""
    host = lone_host
    host.configure(images={"probe_layers": False})  # torch in the layers is a second sign
    ids = {
        "good": host.torch(GOOD, version="2.9.0", env=CUDA),
        "decorated": host.torch("teamai/pytorch-gpu:2.9.1-cuda12.6", version="2.9.1", env=CUDA),
        "cpu": host.torch("teamai/pytorch:2.9", version="2.9.0+cpu"),
        "lying": host.torch("lab/pytorch:2.4-cuda11.8", version="2.9.0a0+81ea7a4", env=CUDA),
        "twice": host.torch("lab/ranker:7-cuda12.6", version="2.9.0", env=CUDA, extra_refs=["lab/search:3-cuda12.6"]),
        "vllm": host.torch("vllm/vllm-openai:v0.9.2", version="2.7.0"),
        "untagged": host.torch("lab/gone:1"),
        "web": host.plain("lab/web-gpu:1"),
    }
    host.engine.docker("tag", ids["web"], "lab/gone:1")  # it takes the name away
    return ids


def tagged(host: RealHost) -> dict[str, set[str]]:
    """Every image of the engine, with its tags."""
    return {row["Id"]: set(row["RepoTags"] or ()) for row in host.engine.images()}


def test_lint_finds_one_of_every_fault_and_nothing_else(lone_host: RealHost, misnamed: dict[str, str]) -> None:
    document = lone_host.json("lint")
    found = document["findings"]
    assert document["host"] == NAME
    assert {item.keys() >= {"image", "rule", "explanation", "id", "references"} for item in found} == {True}
    assert [(item["image"], item["rule"], item["id"]) for item in found] == [
        ("lab/pytorch:2.4-cuda11.8", "tag-contradicts", misnamed["lying"]),
        ("lab/ranker:7-cuda12.6", "many-names", misnamed["twice"]),
        ("lab/ranker:7-cuda12.6", "single-sign", misnamed["twice"]),
        ("teamai/pytorch-gpu:2.9.1-cuda12.6", "look-alike", misnamed["decorated"]),
        ("teamai/pytorch-gpu:2.9.1-cuda12.6", "outside-convention", misnamed["decorated"]),
        ("teamai/pytorch:2.9", "look-alike", misnamed["cpu"]),
        ("teamai/pytorch:2.9", "outside-convention", misnamed["cpu"]),
    ]
    assert found[0]["explanation"] == (
        "says torch 2.4, but ENV PYTORCH_VERSION says 2.9.0a0; says cuda11.8, but ENV CUDA_VERSION says cuda12.6"
    )
    assert found[1]["references"] == ["lab/ranker:7-cuda12.6", "lab/search:3-cuda12.6"]
    assert found[2]["explanation"].startswith("counts as PyTorch by one sign alone: ENV PYTORCH_VERSION=2.9.0; if that")
    proposals = [item["explanation"].partition("; name it ")[2] for item in found]
    assert [name for name in proposals if name] == ["teamai/pytorch:2.9.1-cuda12.6", "teamai/pytorch:2.9.0-cpu"]


def test_its_table_in_a_pipe_has_one_plain_line_for_each_finding_and_ends_with_a_count(
    lone_host: RealHost, misnamed: dict[str, str]
) -> None:
    lone_host.engine.docker("tag", misnamed["good"], "corp/" + "long" * 50 + ":1")
    before = tagged(lone_host)
    done = lone_host.run("lint")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "8 findings on 5 images")
    assert len(lines) == 1 + 8 + 2  # the head, a line for each finding, and the count
    assert "\x1b" not in done.stdout
    assert lines[1].split()[:2] == ["many-names", "corp/" + "long" * 50 + ":1"]
    assert (tagged(lone_host), lone_host.state.exists()) == (before, False)


def test_a_host_without_fault_has_no_findings(lone_host: RealHost) -> None:
    lone_host.torch(GOOD, version="2.9.0", env=CUDA)
    assert lone_host.output_of("lint") == "0 findings"
    assert lone_host.json("lint")["findings"] == []


def test_its_help_shows_the_exit_code(lone_host: RealHost) -> None:
    assert "Exit code 0 with findings, too" in lone_host.output_of("lint", "--help")


def test_without_an_engine_it_fails_in_one_sentence(lone_host: RealHost) -> None:
    lone_host.configure(docker={"url": "unix:///nowhere/docker.sock"})
    done = lone_host.run("lint", "--json")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
