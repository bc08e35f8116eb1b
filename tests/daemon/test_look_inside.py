"""A look inside an image: it finds torch, does not count as a use, and leaves nothing, wherever it is killed."""

import json
import time
from pathlib import Path

import pytest

from agent.adapters import inside_journal as journal
from agent.adapters.engine import EngineError, EngineUnavailable, NotFound
from agent.adapters.state_errors import StateError
from agent.core.policy.decision import Action, Reason
from agent.core.pytorch import guesses
from agent.core.pytorch.version_file import LookedInside, Torch
from agent.core.usage import look_inside as inside
from agent.daemon import look_inside
from tests.support import builders, torch_file
from tests.support.fake_host import FakeHost, Killed, agent_past_ttl
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.inside import FakeInside

IMAGE = builders.pytorch_image("torch", "team/torch:1")
PLACE = "/usr/local/lib/python3.12/site-packages/torch/version.py"
TOKEN = "0123456789abcdef"
LOOK = {"name": inside.name_of(TOKEN), inside.LABEL: TOKEN}


@pytest.fixture
def docker(host: FakeHost) -> FakeDocker:
    host.docker.add(IMAGE)
    return host.docker


def minutes_later(monkeypatch: pytest.MonkeyPatch, seconds: float = 2 * look_inside.IN_FLIGHT) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


async def test_a_look_finds_the_torch_and_leaves_nothing(docker: FakeDocker, tmp_path: Path) -> None:
    docker.images[IMAGE.id].files = {PLACE: torch_file.text("2.5.1+cu124", cuda="12.4")}
    seen = await look_inside.look(FakeInside(docker), tmp_path, IMAGE.id)
    paths = guesses.paths(builders.TORCH, "")
    assert seen == LookedInside(len(paths), {PLACE: Torch("2.5.1", "cuda12.4", True)})
    assert (docker.containers, journal.load(tmp_path)) == ({}, ())


async def test_a_look_at_an_image_that_is_gone_leaves_nothing(docker: FakeDocker, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await look_inside.look(FakeInside(docker, ("settings", "before", NotFound(404, "gone"))), tmp_path, IMAGE.id)
    with pytest.raises(NotFound):
        await look_inside.look(FakeInside(docker, ("make", "before", NotFound(404, "gone"))), tmp_path, IMAGE.id)
    assert journal.load(tmp_path) == ()


async def test_a_look_that_a_socket_proxy_refuses_leaves_nothing_to_look_for(
    docker: FakeDocker, tmp_path: Path
) -> None:
    with pytest.raises(EngineError):
        await look_inside.look(FakeInside(docker, ("make", "before", EngineError(403, "no"))), tmp_path, IMAGE.id)
    assert journal.load(tmp_path) == ()


async def test_a_container_that_the_engine_says_it_could_not_make_is_looked_for_all_the_same(
    docker: FakeDocker, tmp_path: Path
) -> None:
    with pytest.raises(EngineError):
        await look_inside.look(FakeInside(docker, ("make", "after", EngineError(500, "it broke"))), tmp_path, IMAGE.id)
    await look_inside.tidy(FakeInside(docker), tmp_path)
    assert (docker.containers, journal.load(tmp_path)) == ({}, ())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["make", "read", "find", "remove"])
async def test_wherever_a_look_is_killed_the_next_one_removes_what_it_left(
    step: str, when: str, docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        await look_inside.look(FakeInside(docker, (step, when, Killed())), tmp_path, IMAGE.id)
    assert len(journal.load(tmp_path)) == 1
    minutes_later(monkeypatch)
    await look_inside.tidy(FakeInside(docker), tmp_path)
    assert (docker.containers, journal.load(tmp_path)) == ({}, ())


async def test_a_container_that_the_engine_makes_late_is_removed_all_the_same(
    docker: FakeDocker, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        await look_inside.look(FakeInside(docker, ("make", "before", Killed())), tmp_path, IMAGE.id)
    await look_inside.tidy(FakeInside(docker), tmp_path)
    token = journal.load(tmp_path)[0].token  # it stays: the engine may still be at it
    docker.create(IMAGE.id, inside.name_of(token), **{inside.LABEL: token})
    await look_inside.tidy(FakeInside(docker), tmp_path)
    assert (docker.containers, journal.load(tmp_path)) == ({}, ())


async def test_what_is_left_after_an_engine_fell_silent_is_removed_by_the_next_look(
    docker: FakeDocker, tmp_path: Path
) -> None:
    silent = FakeInside(docker, ("read", "before", EngineUnavailable(0, "no answer")))
    with pytest.raises(EngineUnavailable):
        await look_inside.look(silent, tmp_path, IMAGE.id)
    assert len(docker.containers) == 1
    await look_inside.look(FakeInside(docker), tmp_path, IMAGE.id)
    assert (docker.containers, journal.load(tmp_path)) == ({}, ())


async def test_a_container_of_a_look_that_somebody_started_stays(docker: FakeDocker, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        await look_inside.look(FakeInside(docker, ("read", "before", Killed())), tmp_path, IMAGE.id)
    docker.begin(next(iter(docker.containers)))
    await look_inside.tidy(FakeInside(docker), tmp_path)
    assert (len(docker.containers), journal.load(tmp_path)) == (1, ())


async def test_only_what_was_journalled_on_this_engine_is_removed(docker: FakeDocker, tmp_path: Path) -> None:
    docker.create(IMAGE.id, **LOOK)
    journal.save(tmp_path, [journal.Entry(TOKEN, "another engine", IMAGE.id, 0.0)])
    await look_inside.tidy(FakeInside(docker), tmp_path)
    assert len(docker.containers) == 1


async def test_while_a_look_is_under_way_nothing_is_tidied_and_no_other_begins(
    docker: FakeDocker, tmp_path: Path
) -> None:
    docker.create(IMAGE.id, **LOOK)
    journal.save(tmp_path, [journal.Entry(TOKEN, docker.engine_id, IMAGE.id, 0.0)])
    with journal.turn(tmp_path, patience=0):
        await look_inside.tidy(FakeInside(docker), tmp_path)
        with pytest.raises(journal.LookBusy):
            await look_inside.look(FakeInside(docker), tmp_path, IMAGE.id, patience=0.0)
    assert len(docker.containers) == 1


async def test_a_journal_that_cannot_be_read_refuses_a_look_and_ends_no_agent(
    docker: FakeDocker, tmp_path: Path
) -> None:
    (tmp_path / journal.FILE).write_text(json.dumps([{"token": 1}]))
    await look_inside.tidy(FakeInside(docker), tmp_path)
    with pytest.raises(StateError, match="cannot be read"):
        await look_inside.look(FakeInside(docker), tmp_path, IMAGE.id)
    assert docker.containers == {}


# What the agent makes of it


async def test_a_look_does_not_count_as_a_use_and_keeps_the_image_while_it_lasts(
    host: FakeHost, docker: FakeDocker
) -> None:
    agent = await host.agent().watch()
    before = agent.usage(IMAGE.id)
    cid = docker.create(IMAGE.id, **LOOK)
    await agent.wait()
    assert await agent.reason(IMAGE.id) is Reason.IN_USE
    await agent.ingestor.refresh()
    docker.remove(cid)
    await agent.wait()
    assert agent.usage(IMAGE.id) == before


async def test_a_look_while_no_agent_ran_does_not_count_as_a_use(host: FakeHost, docker: FakeDocker) -> None:
    agent = await host.agent().watch()
    before = agent.usage(IMAGE.id)
    await agent.stop()
    docker.create(IMAGE.id, **LOOK)
    agent = await host.agent().watch()
    await agent.stop()
    docker.remove(next(iter(docker.containers)))
    assert (await host.agent().watch()).usage(IMAGE.id) == before


async def test_the_end_of_a_look_that_is_reported_again_does_not_count_as_a_use(
    host: FakeHost, docker: FakeDocker
) -> None:
    agent = await host.agent().watch()
    before = agent.usage(IMAGE.id)
    cid = docker.create(IMAGE.id, **LOOK)
    await agent.wait(60)
    docker.remove(cid)
    await agent.wait()
    await agent.stop()  # the next one reads the end again, and not the beginning
    assert (await host.agent().watch()).usage(IMAGE.id) == before


async def test_a_container_that_runs_is_a_use_whatever_it_is_called(host: FakeHost, docker: FakeDocker) -> None:
    agent = await host.agent().watch()
    cid = docker.create(IMAGE.id, **LOOK)
    await agent.wait(60)
    docker.begin(cid)
    await agent.wait(60)
    started = agent.usage(IMAGE.id).last_used
    docker.end(cid)
    docker.remove(cid)
    await agent.wait()
    ended = agent.usage(IMAGE.id).last_used
    assert started is not None
    assert ended is not None
    assert (ended - started).total_seconds() >= 60


@pytest.mark.parametrize("ran", [False, True])
async def test_in_a_listing_only_one_that_never_ran_does_not_count_as_a_use(
    ran: bool, host: FakeHost, docker: FakeDocker
) -> None:
    cid = docker.create(IMAGE.id, **LOOK)
    if ran:
        docker.begin(cid)
        docker.end(cid)
    docker.stop()  # it forgets its events
    docker.start()
    host.clock.jump(60)
    agent = await host.agent().watch()
    assert (agent.usage(IMAGE.id).last_used is not None) is ran


async def test_the_end_of_a_container_that_nobody_saw_made_is_a_use(host: FakeHost, docker: FakeDocker) -> None:
    agent = await host.agent().watch()
    with docker.losing_events():
        cid = docker.create(IMAGE.id, **LOOK)
    docker.remove(cid)
    await agent.wait()
    assert agent.usage(IMAGE.id).last_used is not None


@pytest.mark.parametrize(
    "called",
    [
        {"name": inside.name_of(TOKEN)},
        {"name": "box", inside.LABEL: TOKEN},
        {"name": inside.name_of(TOKEN), inside.LABEL: "f" * 16},
        {"name": inside.name_of("x"), inside.LABEL: "x"},
    ],
)
async def test_a_container_with_only_the_name_or_only_the_label_of_a_look_is_a_use(
    called: dict[str, str], host: FakeHost, docker: FakeDocker
) -> None:
    agent = await host.agent().watch()
    docker.create(IMAGE.id, **called)
    await agent.wait()
    assert agent.usage(IMAGE.id).last_used is not None


async def test_an_image_is_evicted_once_the_look_is_over(host: FakeHost, docker: FakeDocker) -> None:
    agent = await agent_past_ttl(host)
    cid = docker.create(IMAGE.id, **LOOK)
    await agent.wait()
    assert await agent.reason(IMAGE.id) is Reason.IN_USE
    docker.remove(cid)
    await agent.wait()
    assert (await agent.decision(IMAGE.id)).action is Action.EVICT


# Where it looks


def test_paths_that_the_image_itself_names_are_read_first() -> None:
    env = {
        "VIRTUAL_ENV": "/opt/app",
        "UV_PROJECT_ENVIRONMENT": "env",
        "PATH": "/opt/conda/envs/ptca/bin:/usr/bin:bin:.",
    }
    folders = [path.partition("/lib/python")[0] for path in guesses.paths(env, "/srv/")]
    expected = ["/opt/app", "/srv/env", "/opt/conda/envs/ptca", "/usr", "/srv/.venv", "/srv/venv", "/usr/local"]
    assert list(dict.fromkeys(folders))[:7] == expected


def test_of_a_hostile_image_only_a_few_plain_paths_are_read() -> None:
    env = {"PATH": ":".join(f"/{n}/bin" for n in range(5000)), "VIRTUAL_ENV": "/a/../../etc", "CONDA_PREFIX": "/\x1b"}
    paths = guesses.paths(env, "\n")
    assert len(paths) == guesses.MOST
    assert all(path.isprintable() and ".." not in path for path in paths)
