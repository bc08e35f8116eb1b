"""Scanners do not count as use, whatever way they are seen; and the last use tells whose it was."""

from datetime import timedelta

import pytest

from agent.adapters.engine import EngineUnavailable
from agent.core.policy.decision import Reason
from agent.core.usage.attribution import PROJECT, IgnoredContainers
from tests.support.builders import pytorch_image
from tests.support.fake_host import PAST_TTL, TTL, FakeHost, HostedAgent

REF = "team/torch:1"
DAY = 86400.0  # seconds
SCANNERS = IgnoredContainers(("trivy*", "role=scanner"))


@pytest.fixture
def image(host: FakeHost) -> str:
    return host.docker.add(pytorch_image("torch", REF))


async def test_a_scanners_whole_run_is_no_use(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    await agent.wait(60)
    for name, labels in (("trivy-1", {}), ("nightly", {"role": "scanner"})):
        cid = host.docker.create(REF, name, **labels)
        host.docker.begin(cid)
        host.docker.end(cid)
        host.docker.remove(cid)
    await agent.wait()
    assert (agent.usage(image).last_used, agent.usage(image).last_used_by) == (None, "")


async def test_everybody_elses_run_is(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    await agent.wait(60)
    host.docker.run(REF, "train", rm=True)
    await agent.wait(0)
    assert agent.usage(image).last_used == host.clock.now()


async def test_a_scanner_found_by_a_listing_is_no_use_either(host: FakeHost, image: str) -> None:
    host.docker.run(REF, "trivy-1")
    agent = await host.agent(ignored=SCANNERS).watch()
    assert agent.usage(image).last_used is None


async def test_a_scanner_that_ran_while_nobody_watched_is_no_use_either(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    await agent.stop()
    await host.clock.advance(60)
    host.docker.run(REF, "trivy-1", rm=True)
    again = await host.agent(ignored=SCANNERS).watch()
    assert again.usage(image).last_used is None


async def test_while_it_runs_its_image_stays_and_goes_once_it_is_gone(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).start()
    cid = host.docker.create(REF, "trivy-1")
    host.docker.begin(cid)
    await agent.wait(PAST_TTL)
    assert await agent.reason(image) is Reason.IN_USE
    host.docker.remove(cid)
    await agent.wait(10)
    assert image not in host.docker.images


async def test_a_scanner_that_stays_stopped_still_holds_its_image(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).start()
    cid = host.docker.create(REF, "trivy-1")
    host.docker.begin(cid)
    host.docker.end(cid)
    await agent.wait(PAST_TTL)
    assert await agent.reason(image) is Reason.IN_USE


async def test_a_use_before_the_scan_keeps_its_time(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).start()
    host.docker.run(REF, "train", rm=True)
    used = host.clock.now()
    await agent.wait(TTL.total_seconds() / 2)
    cid = host.docker.create(REF, "trivy-1")
    host.docker.begin(cid)
    host.docker.remove(cid)
    await agent.wait(0)
    assert (agent.usage(image).last_used, agent.usage(image).last_used_by) == (used, "train")


async def test_a_run_by_id_or_by_digest_is_a_use_whatever_tag_the_pattern_means(host: FakeHost, image: str) -> None:
    digest = host.docker.images[image].digests[0]
    agent = await host.agent(ignored=IgnoredContainers(("*test*", "*:latest"))).watch()
    for name, written in (("by-id", image), ("by-short-id", image[7:19]), ("by-digest", digest)):
        await agent.wait(60)
        host.docker.run(written, name, rm=True)
        await agent.wait(0)
        assert (agent.usage(image).last_used, agent.usage(image).last_used_by) == (host.clock.now(), name)


async def test_a_label_value_that_a_pattern_for_names_matches_is_a_use(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=IgnoredContainers(("*scanner*",))).watch()
    await agent.wait(60)
    host.docker.create(REF, "train", role="not a scanner")
    await agent.wait(0)
    assert agent.usage(image).last_used == host.clock.now()


# How many runs were ignored


async def runs(agent: HostedAgent, image_id: str) -> dict[str, int]:
    """What is on disk, by pattern."""
    found = await agent.view.engine_store.load_ignored_runs(image_id)
    return {counted.pattern: counted.runs for counted in found}


async def test_ignored_runs_are_counted_by_pattern_and_a_restart_forgets_none(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    host.docker.run(REF, "trivy-1", rm=True)
    host.docker.begin(host.docker.create(REF, "nightly", role="scanner"))
    host.docker.create(REF, "trivy-2")
    host.docker.run(REF, "train", rm=True)
    await agent.wait(1)
    assert await runs(agent, image) == {"trivy*": 1, "role=scanner": 1}
    await agent.kill()
    again = await host.agent(ignored=SCANNERS).watch()
    host.docker.run(REF, "trivy-3", rm=True)
    await again.wait(1)
    assert await runs(again, image) == {"trivy*": 2, "role=scanner": 1}


async def test_an_ignored_run_while_nobody_watched_is_counted(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    await agent.kill()
    await host.clock.advance(5)
    host.docker.run(REF, "trivy-1", rm=True)
    again = await host.agent(ignored=SCANNERS).watch()
    assert await runs(again, image) == {"trivy*": 1}


async def test_a_replay_counts_no_ignored_run_again(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    host.docker.run(REF, "trivy-1", rm=True)
    await agent.wait(0.01)
    host.docker.cut_streams()
    await agent.wait(0.5)
    assert (agent.engine.counts()["events"], await runs(agent, image)) == (2, {"trivy*": 1})


async def test_a_listing_that_is_newer_than_an_ignored_run_counts_it_once(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    agent.engine.on("containers", lambda: host.docker.run(REF, "trivy-1"), after=True)
    await agent.ingestor.refresh()
    await agent.wait(1)
    assert await runs(agent, image) == {"trivy*": 1}


async def test_a_catch_up_that_is_cut_after_it_was_written_counts_an_ignored_run_once(
    host: FakeHost, image: str
) -> None:
    """While the base of a build is not known, what was told is written without the cursor, and told again."""
    agent = await host.agent(ignored=SCANNERS).watch()
    await agent.kill()
    await host.clock.advance(5)
    host.docker.run(REF, "trivy-1", rm=True)
    host.docker.build("team/app:1", REF)
    again = host.agent(ignored=SCANNERS)
    again.engine.on("containers", EngineUnavailable(0, "cut"))
    await again.watch()
    await again.wait(60)
    assert (again.view.proven, again.engine.counts()["events"]) == (True, 2)
    assert await runs(again, image) == {"trivy*": 1}


async def test_what_was_counted_long_ago_is_forgotten(host: FakeHost, image: str) -> None:
    agent = await host.agent(ignored=SCANNERS).watch()
    host.docker.run(REF, "trivy-1", rm=True)
    await agent.wait(DAY)
    host.docker.begin(host.docker.create(REF, "nightly", role="scanner"))
    await agent.wait(1)
    now = host.clock.now()
    await agent.store.prune(now - timedelta(hours=1), now, declare_dropped=False)
    assert await runs(agent, image) == {"role=scanner": 1}


async def test_the_last_use_tells_project_and_user(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    cid = host.docker.create(REF, "train", **{PROJECT: "llm", "user": "alice"})
    await agent.wait(0)
    assert agent.usage(image).last_used_by == "train (project llm, user alice)"
    host.docker.begin(cid)
    again = await host.agent().watch()
    assert (await again.decision(image)).last_used_by == "train (project llm, user alice)"
