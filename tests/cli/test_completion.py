"""Completion of names in a shell: what is offered, and that a failure offers nothing."""

import asyncio
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.adapters import overrides
from agent.adapters.sqlite import state_dir
from agent.cli import completion
from agent.config.settings import Settings
from agent.core.policy.decision import Outcome
from agent.core.policy.overrides import Overrides, Pin
from agent.core.protocol import new_events
from agent.core.protocol.payloads import ImageRef
from tests.support import proc
from tests.support.builders import make_id
from tests.support.times import DAY, START

ORIGIN = "team/a@sha256:" + "a" * 64


def context(config: Path) -> Any:
    """What typer gives to a completion: the options that were typed before."""
    return SimpleNamespace(params={"config_file": config})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    nowhere = f"unix://{tmp_path / 'docker.sock'}"
    return proc.write_config(tmp_path / "c.toml", agent={"state_dir": tmp_path / "state"}, docker={"url": nowhere})


def folder(config: Path) -> Path:
    made = config.parent / "state"
    made.mkdir(exist_ok=True)
    return made


def test_the_pins_that_have_not_ended_are_offered(config: Path) -> None:
    pins = (
        Pin(id=make_id("a"), reference="team/a:1", at=START),
        Pin(id=make_id("b"), reference="team/ended:1", at=START, until=START + DAY),
        Pin(id=make_id("c"), reference="", at=START),
    )
    overrides.change(folder(config), lambda _: Overrides(pins=pins))
    assert completion.pinned_names(context(config), "") == ["team/a:1", make_id("c")[7:19]]
    assert completion.pinned_names(context(config), "team/") == ["team/a:1"]


async def _evict(into: Path, *images: tuple[str, str | None]) -> None:
    store, _ = state_dir.open_store(into, START)
    for number, (name, origin) in enumerate(images):
        image = ImageRef(id=make_id(name), references=[name], size_bytes=1, origin=origin)
        at = START + number * DAY
        await store.log(new_events.outcome(f"d{number}", image, Outcome.REMOVED, at, measured_bytes=1))
    await store.close()


def test_the_images_that_can_be_pulled_again_are_offered_the_latest_first(config: Path) -> None:
    asyncio.run(_evict(folder(config), ("team/a:1", ORIGIN), ("team/local:1", None), ("team/b:1", ORIGIN)))
    assert completion.evicted_names(context(config), "") == ["team/b:1", "team/a:1"]


def test_where_docker_does_not_answer_the_names_of_the_agents_state_are_offered(config: Path) -> None:
    folder(config)

    async def from_state(_: Settings) -> Iterable[str]:
        return ["team/a:1", "lab/b:1"]

    def from_engine(_: Settings) -> Any:
        raise OSError

    offered = completion._offer(context(config), "te", (from_engine, from_state))
    assert offered == ["team/a:1"]


@pytest.mark.parametrize("names", [completion.image_names, completion.pinned_names, completion.evicted_names])
def test_a_broken_configuration_offers_nothing_and_says_nothing(
    names: Any, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("[policy")
    assert names(context(config), "") == []
    assert capsys.readouterr() == ("", "")


def test_an_answer_that_takes_too_long_is_not_waited_for(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_: Settings) -> Iterable[str]:
        await asyncio.sleep(3600)
        return ["late:1"]

    monkeypatch.setattr(completion, "TIMEOUT", 0.01)
    assert completion._offer(context(config), "", (slow,)) == []


# What bash asks


@pytest.mark.parametrize(
    ("words", "joined", "prefix"),
    [
        ("torchkeeper explain team", "torchkeeper explain team", ""),
        ("torchkeeper explain team/a : 2", "torchkeeper explain team/a:2", "team/a:"),
        ("torchkeeper explain team/a :", "torchkeeper explain team/a:", "team/a:"),
        ("torchkeeper explain host : 5000/a : 2", "torchkeeper explain host:5000/a:2", "host:5000/a:"),
        ("torchkeeper pin team/a : 2 --f", "torchkeeper pin team/a:2 --f", ""),
    ],
)
def test_a_name_that_bash_took_apart_at_its_colons_is_put_together(words: str, joined: str, prefix: str) -> None:
    environ = {"COMP_WORDS": words.replace(" ", "\n"), "COMP_CWORD": str(len(words.split()) - 1)}
    assert completion._join_at_colons(environ) == prefix
    assert environ == {"COMP_WORDS": joined.replace(" ", "\n"), "COMP_CWORD": str(len(joined.split()) - 1)}


def test_bash_completes_a_pinned_name_behind_its_colon(config: Path) -> None:
    pins = tuple(Pin(id=make_id(tag), reference=f"team/a:{tag}", at=START) for tag in ("2.7", "2.9", "1.0"))
    overrides.change(folder(config), lambda _: Overrides(pins=pins))
    program = Path(proc.command()[0])
    if program.name != "torchkeeper":
        pytest.skip("torchkeeper is not installed here")
    script = """
        eval "$(_TORCHKEEPER_COMPLETE=source_bash torchkeeper)"
        COMP_WORDS=(torchkeeper unpin team/a : 2) COMP_CWORD=4
        _torchkeeper_completion torchkeeper
        echo "${COMPREPLY[*]}"
    """
    env = proc.environment(config, {"PATH": f"{program.parent}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2.7 2.9\n", "")
