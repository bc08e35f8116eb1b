"""Whose word takes an event out of the outbox: the broker's or the collector's, as `mqtt.confirm` says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.config import sections
from agent.core.protocol import payloads
from agent.reporting import confirmation, publisher
from tests.support import mosquitto
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE, eventually_async
from tests.support.publishing import CLIENT_ID, TOPICS, PublisherRig, connected, rigged, without_repeats

BY_COLLECTOR = publisher.Settings(confirm="collector")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PublisherRig]:
    async with rigged(tmp_path) as made:
        yield made


async def test_by_the_collector_the_brokers_word_retires_nothing_from_the_first_row_on(rig: PublisherRig) -> None:
    await rig.add(3)
    async with rig.running(settings=BY_COLLECTOR):
        await rig.until(lambda: rig.sent() == [1, 2, 3])
        await rig.quiet()
        assert await rig.waiting() == [1, 2, 3]
        rig.acknowledge(2)
        await rig.until(lambda: has_waiting(rig, [3]))


async def test_by_the_broker_its_word_retires_until_a_collector_was_heard(rig: PublisherRig) -> None:
    await rig.add(3)
    async with rig.running():
        await rig.until(rig.is_empty)


async def has_waiting(rig: PublisherRig, numbers: list[int]) -> bool:
    return await rig.waiting() == numbers


async def test_by_the_collector_each_connection_sends_all_again_until_one_was_heard(rig: PublisherRig) -> None:
    await rig.add(2)
    async with rig.running(settings=BY_COLLECTOR):
        await rig.until(lambda: rig.sent() == [1, 2])
        rig.server.cut(CLIENT_ID)
        await rig.until(lambda: rig.sent() == [1, 2, 1, 2], tick=1)


async def test_by_the_collector_a_silent_one_is_asked_ever_more_rarely(rig: PublisherRig) -> None:
    await rig.add(1)
    async with rig.running(settings=BY_COLLECTOR):
        await rig.spend(3600)
        assert 5 <= len(rig.sent()) <= 15
        assert await rig.waiting() == [1]


async def test_where_only_its_word_counts_a_collector_that_says_nothing_is_an_alert(rig: PublisherRig) -> None:
    async with rig.running(settings=BY_COLLECTOR):
        await rig.spend(2 * confirmation.SILENCE)
        assert "unconfirmed" not in rig.host_report.alerts  # nothing was sent
        await rig.add(1)
        await rig.spend(confirmation.SILENCE - 60)
        assert "unconfirmed" not in rig.host_report.alerts
        await rig.spend(120)
        assert "alerts/unconfirmed" in rig.retained()
        assert rig.host_report.alerts["unconfirmed"].severity == "warning"
        rig.acknowledge(1)
        await rig.until(lambda: "alerts/unconfirmed" not in rig.retained(), tick=1)
        await rig.spend(2 * confirmation.SILENCE)
        assert rig.host_report.alerts == {}


async def test_a_collector_that_is_slow_but_speaks_is_no_alert(rig: PublisherRig) -> None:
    await rig.add(10)
    async with rig.running(settings=BY_COLLECTOR):
        for number in range(1, 10):
            await rig.spend(confirmation.SILENCE - 60)
            rig.acknowledge(number)
        await rig.spend(60)
        assert rig.host_report.alerts == {}
        await rig.spend(confirmation.SILENCE)
        assert set(rig.host_report.alerts) == {"unconfirmed"}


@pytest.mark.parametrize("heard", [True, False])
async def test_by_the_broker_the_silence_of_a_collector_is_no_alert(rig: PublisherRig, heard: bool) -> None:
    if heard:
        rig.acknowledge(0)
    await rig.add(1)
    async with rig.running():
        await rig.spend(3 * confirmation.SILENCE)
        assert rig.host_report.alerts == {}


# On mosquitto, which acknowledges in MQTT 3.1.1 what its ACL denies: what the README says of both settings.


@pytest.fixture
def denying(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker whose ACL lets a host publish anything but events."""
    acl = mosquitto.ACL.replace("hosts/%u/#", "hosts/%u/status\npattern write torchkeeper/v1/hosts/%u/alerts/#")
    with mosquitto.running(users={"gpu-07": "x", "collector": "x"}, acl=acl) as server:
        (tmp_path / "secret").write_text("x")
        yield server


def options(server: Mosquitto, folder: Path, version: str, user: str = "gpu-07") -> broker.Options:
    keys = {"url": server.url, "version": version, "username": user, "password_file": str(folder / "secret")}
    return broker.options(sections.Mqtt.model_validate(keys), f"{CLIENT_ID}-{user}")


@pytest.mark.real
async def test_by_the_broker_a_denied_event_is_taken_for_delivered_in_mqtt_3_1_1_and_is_an_alert_in_mqtt_5(
    rig: PublisherRig, denying: Mosquitto, tmp_path: Path
) -> None:
    await rig.add(3)
    async with connected(rig, options(denying, tmp_path, "5")):
        await eventually_async(lambda: stands(rig, "events-denied"))
        assert await rig.waiting() == [1, 2, 3]
    async with connected(rig, options(denying, tmp_path, "3.1.1")):
        await eventually_async(rig.is_empty)


@pytest.mark.real
async def test_by_the_collector_a_denied_event_waits_in_mqtt_3_1_1_with_an_alert_and_arrives_once_it_is_allowed(
    rig: PublisherRig, denying: Mosquitto, tmp_path: Path
) -> None:
    await rig.add(3)
    async with connected(rig, options(denying, tmp_path, "3.1.1"), speed=120, settings=BY_COLLECTOR):
        await eventually_async(lambda: stands(rig, "unconfirmed"))
        assert await rig.waiting() == [1, 2, 3]
        (denying.folder / "acl").write_text(mosquitto.ACL)
        await asyncio.to_thread(denying.restart)
        got = await collected(rig, options(denying, tmp_path, "5", user="collector"))
        await eventually_async(rig.is_empty)
        await eventually_async(lambda: stands(rig, "unconfirmed", no=True))
    assert without_repeats(got) == [1, 2, 3]


async def stands(rig: PublisherRig, alert: str, *, no: bool = False) -> bool:
    return (alert in rig.host_report.alerts) is not no


async def collected(rig: PublisherRig, there: broker.Options) -> list[int]:
    """Be the collector until all is there, and say so."""
    got: list[int] = []
    async with asyncio.timeout(PATIENCE), broker.connect(there) as connection:
        await connection.subscribe(TOPICS.events)
        async for message in connection.messages():
            event = payloads.decode(payloads.Event, message.payload)
            if event is not None:
                got.append(event.data["seq"])
            if got[-1:] == [3]:
                break
        word = payloads.Ack(collector="main", epoch=rig.store.epoch, seq=3)
        await connection.publish(TOPICS.ack, word.encode(), retain=True)
    return got
