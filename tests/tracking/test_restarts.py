"""Usage when the agent dies: it is committed with the cursor, events are read again, and nothing is forgotten."""

import pytest

from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import FakeHost
from tests.support.times import MINUTE, START


async def test_usage_and_cursor_are_one_commit(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    host.db.execute(
        "CREATE TRIGGER no_cursor BEFORE UPDATE OF cursor_ns ON engines BEGIN SELECT RAISE(ABORT, 'x'); END"
    )
    with pytest.raises(BaseExceptionGroup):
        await agent.wait(0.1)
    host.db.execute("DROP TRIGGER no_cursor")
    assert (await agent.saved())[image].last_used is None
    again = await host.agent().watch()
    assert (await again.saved())[image].last_used == START


async def test_killed_before_the_commit_the_event_is_read_again(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.create(REF, "box")
    agent.engine.on("made_from", agent.engine.hang)
    await agent.wait(1)
    await agent.kill()
    again = host.agent()
    assert (await again.saved())[image].last_used is None
    await again.watch()
    assert (await again.saved())[image].last_used == START + MINUTE


async def test_a_restart_forgets_nothing(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.pull(pytorch_image("pulled", "team/pulled:1"))
    host.docker.run(REF, "box", rm=True)
    await agent.wait(600)
    before = await agent.saved()
    await agent.kill()
    again = await host.agent().watch()
    await again.wait()
    assert await again.saved() == before
    assert dict(again.view.tracker.usages) == before


async def test_another_image_store_has_usage_of_its_own(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait()
    await agent.stop()
    host.docker.engine_id = "engine-2"
    await host.clock.advance(60)
    again = await host.agent().watch()
    assert (again.usage(image).first_seen, again.usage(image).last_used) == (host.clock.now(), None)


async def test_another_root_directory_has_usage_of_its_own_and_the_first_one_is_known_again(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait(600)
    first = agent.usage(image)
    host.docker.move_to("/data-2")
    host.docker.add(pytorch_image("torch", REF))
    await agent.wait(60)
    assert (agent.usage(image).first_seen > START, agent.usage(image).last_used) == (True, None)
    host.docker.move_to("")
    await agent.wait(60)
    assert agent.usage(image) == first


async def test_images_of_another_root_directory_are_not_shown_until_those_of_this_one_are_listed(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    shown: list[int] = []
    agent.engine.on("images", lambda: shown.append(len(agent.view.images)))
    host.docker.move_to("/data-2")
    await agent.wait(60)
    assert shown == [0]


async def test_after_a_restart_the_root_directory_decides_whose_usage_it_is(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait()
    await agent.stop()
    host.docker.move_to("/data-2")
    host.docker.add(pytorch_image("torch", REF))
    await host.clock.advance(60)
    again = await host.agent().watch()
    assert (again.usage(image).first_seen, again.usage(image).last_used) == (host.clock.now(), None)


async def test_a_container_that_went_unseen_was_used_until_the_watch_ended(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    cid = host.docker.run(REF, "box")
    await agent.wait(600)
    ended = host.clock.now()
    await agent.kill()
    await host.clock.advance(30)
    host.docker.remove(cid)
    host.docker.ring.clear()
    again = await host.agent().watch()
    assert again.usage(image).last_used == ended
