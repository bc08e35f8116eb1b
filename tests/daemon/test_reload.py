"""A running agent takes over its changed configuration, and keeps the last one that could be read."""

import asyncio
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import pytest

from agent.adapters import overrides
from agent.config.source import SettingsSource
from agent.core.policy.decision import Reason
from agent.core.policy.limits import PastEviction
from agent.core.policy.overrides import Overrides, Pin
from agent.core.protocol.alerts import AlertId
from agent.daemon import build, housekeeping
from agent.daemon.build import Components
from agent.daemon.in_force import SettingsInForce
from agent.eviction.sweeper import Pacing
from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost
from tests.support.times import DAY, MINUTE, SECOND

NOTICED = 5 * SECOND  # a change of the file is read within two looks
REFS = ["team/a:1", "team/b:1"]
GRACE = 10 * MINUTE
CAUTIOUS = "[limits]\npause = '0s'\n[policy]\nttl = '14d'\nmin_age = '0s'\nchange_grace = '10m'\n"
HASTY = CAUTIOUS.replace("14d", "2m")


class ReloadingHost:
    """An agent on the fake host with two images, which were idle for five minutes, and its configuration file."""

    def __init__(self, host: FakeHost, file: Path) -> None:
        self.host = host
        self.file = file
        for name in "ab":
            host.docker.add(pytorch_image(name))

    async def start(self, text: str = CAUTIOUS) -> "ReloadingHost":
        self.file.write_text(text)
        source = SettingsSource(self.file)
        settings = source.read()
        policy = settings.core_policy()
        rules = {field.name: getattr(policy, field.name) for field in fields(policy)}
        pacing = Pacing(pause=settings.limits.pause, grace=settings.policy.change_grace)
        agent = self.agent = self.host.agent(pacing=pacing, **rules)
        parts = Components(
            agent.engine, agent.store, agent.host_report, agent.ingestor, agent.watcher, agent.planner, agent.sweeper
        )
        self.in_force = SettingsInForce(settings)
        self.reloader = build.make_reloader(source, self.in_force, parts, self.host.folder, agent.clock)
        await agent.start()
        loops = housekeeping.report_info(self.in_force, parts, agent.clock), self.reloader.run()
        agent.tasks += [asyncio.create_task(loop, name=name) for loop, name in zip(loops, "ir", strict=True)]
        await agent.wait(GRACE / 2)
        return self

    async def write(self, text: str) -> None:
        """Change the file, and wait until that is noticed."""
        self.file.write_text(text)
        await self.agent.wait(NOTICED)

    async def hang_up(self) -> None:
        self.reloader.request()
        await self.agent.wait(SECOND / 10)

    def left(self) -> list[str]:
        return sorted(reference for image in self.host.docker.images.values() for reference in image.tags)

    def alert(self, alert: AlertId) -> str:
        """The message of a standing alert; "" if it does not stand."""
        found = self.agent.host_report.alerts.get(alert)
        return found.message if found is not None else ""

    def alerts(self) -> set[str]:
        return set(self.agent.host_report.alerts)


@pytest.fixture
async def running(host: FakeHost, tmp_path: Path) -> ReloadingHost:
    return await ReloadingHost(host, tmp_path / "c.toml").start()


async def test_a_ttl_that_the_file_changes_evicts_after_the_grace(running: ReloadingHost) -> None:
    await running.write(HASTY)
    assert AlertId.POLICY_CHANGE in running.alerts()
    await running.agent.wait(GRACE - 2 * NOTICED)
    assert running.left() == REFS
    await running.agent.wait(2 * NOTICED)
    assert (running.left(), running.alerts()) == ([], set())


async def test_a_file_that_an_editor_replaces_is_taken_over(running: ReloadingHost, tmp_path: Path) -> None:
    (tmp_path / "c.toml.new").write_text(HASTY)
    (tmp_path / "c.toml.new").rename(running.file)
    await running.agent.wait(NOTICED)
    assert running.in_force.settings.policy.ttl == 2 * MINUTE


async def test_a_config_map_whose_link_is_swapped_is_taken_over(host: FakeHost, tmp_path: Path) -> None:
    for name, text in (("1", CAUTIOUS), ("2", HASTY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.toml").write_text(text)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "c.toml").symlink_to("..data/c.toml")
    running = await ReloadingHost(host, tmp_path / "c.toml").start()
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    await running.agent.wait(NOTICED)
    assert running.in_force.settings.policy.ttl == 2 * MINUTE


async def test_a_hangup_takes_over_a_changed_file_at_once(running: ReloadingHost) -> None:
    running.file.write_text(HASTY)
    await running.hang_up()
    assert running.in_force.settings.policy.ttl == 2 * MINUTE
    await running.agent.wait(GRACE + SECOND)
    assert running.left() == []


async def test_a_change_that_is_taken_back_within_the_grace_evicts_nothing(running: ReloadingHost) -> None:
    await running.write(HASTY)
    await running.agent.wait(GRACE / 2)
    await running.write(CAUTIOUS)
    assert running.alerts() == set()
    await running.agent.wait(2 * GRACE)
    assert running.left() == REFS


async def test_a_shorter_grace_in_the_same_change_counts_as_after_a_restart(running: ReloadingHost) -> None:
    await running.write(HASTY.replace("10m", "3m"))
    await running.agent.wait(3 * MINUTE - NOTICED)
    assert running.left() == REFS
    await running.agent.wait(NOTICED)
    assert running.left() == []


async def test_the_grace_continues_over_a_kill(running: ReloadingHost, tmp_path: Path) -> None:
    await running.write(HASTY)
    await running.agent.kill()
    again = await ReloadingHost(running.host, tmp_path / "c.toml").start(HASTY)
    assert REFS[0] in again.left()
    await again.agent.wait(GRACE / 2 + NOTICED)
    assert again.left() == []


async def test_a_pinned_image_stays_whatever_is_reloaded(running: ReloadingHost) -> None:
    pin = Pin(id="", reference=REFS[0], at=running.host.clock.now())
    overrides.change(running.host.folder, lambda _: Overrides(pins=(pin,)))
    await running.write(HASTY)
    await running.agent.wait(2 * GRACE)
    assert running.left() == REFS[:1]


async def test_a_bad_file_changes_nothing_and_its_alert_names_the_key_until_it_is_corrected(
    running: ReloadingHost,
) -> None:
    await running.write(HASTY.replace("2m", "1x"))
    message = running.alert(AlertId.CONFIG_REFUSED)
    assert message.startswith(f"{running.file}: policy.ttl: '1x' ")
    assert message.endswith("; the agent continues with the settings that it read before")
    assert not running.reloader.last_successful
    await running.agent.wait(2 * GRACE)
    assert running.left() == REFS
    await running.write(CAUTIOUS)
    assert (running.reloader.last_successful, running.alerts()) == (True, set())


@pytest.mark.parametrize("ask", [True, False])
async def test_a_file_that_vanishes_does_not_bring_the_defaults_back(running: ReloadingHost, ask: bool) -> None:
    await running.write(CAUTIOUS + "[agent]\nmode = 'observe'\n")
    running.file.unlink()
    await (running.hang_up() if ask else running.agent.wait(NOTICED))
    assert "is no longer there" in running.alert(AlertId.CONFIG_REFUSED)
    assert running.in_force.settings.agent.mode == "observe"
    await running.write(HASTY)
    assert AlertId.CONFIG_REFUSED not in running.alerts()
    assert running.in_force.settings.policy.ttl == 2 * MINUTE


async def test_keys_that_need_a_restart_are_named_and_the_others_applied(running: ReloadingHost) -> None:
    await running.write(HASTY + "[mqtt]\nurl = 'mqtt://b'\n[agent]\nhost = 'gpu-08'\n")
    message = "agent.host, mqtt.url: changed in the configuration; restart the agent to apply that"
    assert running.alert(AlertId.RESTART_NEEDED) == message
    assert running.in_force.settings.policy.ttl == 2 * MINUTE
    assert running.in_force.settings.mqtt.url == ""
    await running.write(HASTY)
    assert AlertId.RESTART_NEEDED not in running.alerts()


async def test_a_file_that_says_the_same_changes_nothing_at_all(running: ReloadingHost) -> None:
    policies, report = await running.agent.store.load_policies(), running.agent.host_report
    info, inventory = report.info, report.inventory
    await running.write(f"# a comment\n{CAUTIOUS}")
    await running.hang_up()
    assert (await running.agent.store.load_policies(), report.info, report.inventory) == (policies, info, inventory)


async def test_info_shows_the_policy_and_the_mode_in_force(running: ReloadingHost) -> None:
    await running.write(HASTY + "[agent]\nmode = 'observe'\n")
    info = running.agent.host_report.info
    assert info is not None
    assert (info.mode, info.policy["policy"]["ttl"]) == ("observe", "2m")
    await running.agent.wait(2 * GRACE)
    assert running.left() == REFS


async def test_a_later_connection_to_the_engine_reports_the_new_policy_as_well(running: ReloadingHost) -> None:
    await running.write(HASTY)
    running.host.docker.stop()
    running.host.docker.start()
    await running.agent.wait(MINUTE)
    info = running.agent.host_report.info
    assert info is not None
    assert info.policy["policy"]["ttl"] == "2m"


async def test_a_pattern_that_can_match_nothing_raises_its_alert_until_it_is_removed(running: ReloadingHost) -> None:
    await running.write(CAUTIOUS + "[images]\nexclude = ['two']\n")
    assert "images.exclude" in running.alert(AlertId.PATTERN_MATCHES_NOTHING)
    await running.write(CAUTIOUS)
    assert running.alerts() == set()


async def test_pressure_that_was_not_set_at_the_start_is_watched(running: ReloadingHost) -> None:
    await running.write(CAUTIOUS.replace("10m", "0s") + "[pressure]\nbudget = '1B'\n")
    await running.agent.wait(MINUTE)
    assert running.left() == []


async def test_containers_that_are_ignored_from_now_on_do_not_count_as_uses(running: ReloadingHost) -> None:
    await running.write(CAUTIOUS + "[usage]\nignore_containers = ['trivy*']\n")
    running.host.docker.run(REFS[0], name="trivy-1", rm=True)
    running.host.docker.run(REFS[1], name="train-1", rm=True)
    await running.agent.wait(MINUTE)
    ignored, used = (running.agent.last_use(pytorch_image(name).id)[0] for name in "ab")
    assert ignored is None
    assert used is not None


async def test_an_image_that_an_exclusion_keeps_from_now_on_has_that_reason(running: ReloadingHost) -> None:
    await running.write(CAUTIOUS + f"[images]\nexclude = ['{REFS[0]}']\n")
    assert await running.agent.reason(pytorch_image("a").id) is Reason.EXCLUDED


async def test_a_shorter_retention_is_used_by_the_next_clean_up(running: ReloadingHost) -> None:
    await running.write(CAUTIOUS + "[history]\nretention = '1d'\n")
    assert running.in_force.settings.history.retention == DAY


async def test_a_plan_that_is_made_while_the_policy_changes_uses_one_policy_and_its_own_grace(
    running: ReloadingHost,
) -> None:
    """Otherwise a plan could combine the new policy with the old one, which waits for nothing."""
    agent = running.agent
    hasty = replace(running.in_force.settings.core_policy(), ttl=2 * MINUTE)
    loading = agent.store.load_past_evictions

    async def load_while_the_policy_changes(since: datetime) -> tuple[PastEviction, ...]:
        agent.planner.take(hasty, GRACE)
        return await loading(since)

    agent.store.load_past_evictions = load_while_the_policy_changes  # type: ignore[method-assign]
    assert ((await agent.plan()).evictions, (await agent.plan()).evictions) == ((), ())
    assert len((await agent.plan()).deferred) == 2
