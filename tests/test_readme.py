"""The README shows what the program prints, and names what there is."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console, RenderableType

from agent import cli
from agent.cli import tables
from agent.config import loading, sections
from agent.core.model import Image
from agent.core.policy.decision import Plan
from agent.core.policy.settings import Policy, Rule
from tests.support.builders import NOW, container_of, decide, idle_usage, pulled_image, pytorch_image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MB = 1_000_000


def blocks() -> dict[str, str]:
    """Command -> what the README says that it prints."""
    shown = re.search(r"(?ms)^    \$ torchkeeper plan.*?(?=^\S)", README)
    assert shown
    text = re.sub(r"(?m)^    ", "", shown[0])
    parts = re.split(r"(?m)^\$ torchkeeper (\w+)\n", text)[1:]
    return {name: body.strip("\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def printed(content: RenderableType) -> str:
    console = Console(width=80, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def example() -> Plan:
    """The host that the README shows."""

    def torch(name: str, reference: str, version: str, cuda: str, size: int, **more: Any) -> Image:
        env = {"PYTORCH_VERSION": version, **({"CUDA_VERSION": cuda} if cuda else {})}
        return pytorch_image(name, reference, env=env, layers={f"sha256:{name}": size * MB}, **more)

    shared = {"sha256:cuda": 4600 * MB}
    idle = pytorch_image(
        "idle",
        "teamai/pytorch:2.7-cuda11.8",
        env={"PYTORCH_VERSION": "2.7.1", "CUDA_VERSION": "11.8.0"},
        layers={**shared, "sha256:idle": 4900 * MB},
    )
    used = pytorch_image(
        "used",
        "teamai/pytorch:2.9-cuda11.8",
        env={"PYTORCH_VERSION": "2.9.0", "CUDA_VERSION": "11.8.0"},
        layers={**shared, "sha256:used": 5000 * MB},
    )
    local = torch("local", "lab/finetune:exp7", "2.8.0", "", 6100, origin=None)
    latest = torch("latest", "teamai/pytorch:latest", "2.10.0", "12.8.1", 9900)
    ngc = torch("ngc", "nvcr.io/nvidia/pytorch:25.10-py3", "2.9.0a0", "13.0.2", 20_300)
    ollama = pulled_image("ollama", "ollama/ollama:0.12", layers={"sha256:o": 3200 * MB})
    postgres = pulled_image("postgres", "postgres:16", layers={"sha256:p": 440 * MB})
    here = (idle, used, local, latest, ngc, ollama, postgres)
    ago = (15.125, 3, 40, 20, 15.5, 50.1, 50)  # days since the last use
    return decide(
        *here,
        usages=tuple(idle_usage(item, last_used=NOW - timedelta(days=n)) for item, n in zip(here, ago, strict=True)),
        containers=(container_of(used, "llm-train-3", "running"),),
        rules=Policy(rules=(Rule(match="nvcr.io/nvidia/pytorch:*", ttl=timedelta(days=30)),)),
    )


def test_the_plan_that_it_shows_is_what_plan_prints() -> None:
    assert blocks()["plan"] == printed(tables.plan(example()))


def test_its_configuration_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "c.toml"
    path.write_text(text)
    settings = loading.load(path)
    assert (settings.policy.ttl, settings.agent.mode) == (timedelta(days=14), "observe")
    assert set(tomllib.loads(text)) == {"agent", "mqtt", "images", "policy"}


def test_it_has_at_most_four_screens() -> None:
    assert len(README.splitlines()) <= 200


def test_the_address_of_the_page_is_that_of_the_monitor() -> None:
    assert f"open http://{sections.Monitor().listen}" in README


def test_the_options_and_commands_that_it_shows_are_there() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    shown = re.findall(r"(?m)^ +(?:\$ )?torchkeeper ([a-z]+)((?: --[a-z]+)*)", README)
    assert shown
    assert [name for name, _ in shown if name not in commands] == []
    known = {name: {option for item in command.params for option in item.opts} for name, command in commands.items()}
    assert [(name, option) for name, options in shown for option in options.split() if option not in known[name]] == []


def test_what_it_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []
