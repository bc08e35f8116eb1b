"""The promises of the MQTT side, on each broker that is supported."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.diagnostics import broker_check
from agent.fleet.view import Host
from agent.reporting.pending_inventory import PendingInventory
from tests.interop.brokers import COLLECTOR, Place
from tests.interop.parts import PATIENCE, ROOT, collecting, confirmed, reporting, take, until, view
from tests.support.messages import make_info, make_inventory, make_inventory_image
from tests.support.proc import ROOT as TREE
from tests.support.proc import eventually_async
from tests.support.publishing import PublisherRig

pytestmark = pytest.mark.real

BURST = 120  # events
VICTIM = """
import asyncio, sys
from agent.adapters.mqtt import broker
from agent.config.sections import Mqtt

async def main():
    topic, online, will, settings = sys.argv[1:]
    options = broker.options(Mqtt.model_validate_json(settings), "victim")
    async with broker.connect(options, broker.Message(topic, will.encode(), True)) as connection:
        await connection.publish(topic, online.encode(), retain=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def status_topic(host: str) -> str:
    return f"{ROOT}/hosts/{host}/status"


async def test_it_connects_with_the_version_that_the_broker_speaks(place: Place) -> None:
    async with place.connect("gpu-01", "a")(None) as connection:
        assert connection.peer == f"{place.server.url}, {place.kind.in_use}"


async def test_a_wrong_password_is_reported(place: Place, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    mqtt = place.mqtt("gpu-01", password_file=str(tmp_path / "wrong"))
    with pytest.raises(broker.LoginRefused, match=r"the broker refused user 'gpu-01'"):
        async with broker.connect(broker.options(mqtt, "a")):
            pass


async def test_a_later_reader_finds_what_is_retained(place: Place, rig: PublisherRig) -> None:
    rig.host_report.show_info(make_info())
    rig.host_report.show_inventory(PendingInventory.of(make_inventory(left_out=3)))
    rig.host_report.raise_alert(AlertId.STATE_FULL, "nearly full", make_info().at)
    async with reporting(place.connect, rig, "gpu-01"):
        found = await eventually_online(place, "gpu-01")
        assert (found.row.version, found.summary.images, list(found.alerts)) == ("0.1.0", 3, ["state-full"])
    left = {host.name: host.status and host.status.state for host in (await view(place)).hosts()}
    assert left["gpu-01"] == "offline"


async def eventually_online(place: Place, name: str) -> Host:
    """The host with its inventory, as a reader finds it who comes again and again."""

    async def look() -> Host | None:
        known = {host.name: host for host in (await view(place)).hosts()}
        host = known.get(name)
        return host if host and host.inventory and host.status and host.status.state == "online" else None

    found = await eventually_async(look, PATIENCE)
    assert found is not None
    return found


async def test_a_killed_agent_is_reported_by_its_will(place: Place) -> None:
    topic = status_topic("gpu-02")
    online, offline = (
        payloads.Status(state=state, session=7, at=make_info().at).encode().decode() for state in ("online", "offline")
    )
    settings = place.mqtt("gpu-02").model_dump_json()
    async with place.connect(COLLECTOR, "watcher")(None) as watcher:
        await watcher.subscribe(topic)
        victim = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", VICTIM, topic, online, offline, settings), cwd=TREE
        )
        try:
            await take(watcher, lambda message: message.payload == online.encode())
            victim.kill()
            await take(watcher, lambda message: message == Message(topic, offline.encode()))
        finally:
            if victim.returncode is None:
                victim.kill()
            await victim.wait()
    async with place.connect(COLLECTOR, "reader")(None) as reader:
        await reader.subscribe(topic)
        await take(reader, lambda message: message == Message(topic, offline.encode(), retain=True))


async def test_events_arrive_in_order_and_are_retired_by_the_watermark(
    place: Place, rig: PublisherRig, tmp_path: Path
) -> None:
    async with collecting(place.connect, tmp_path) as received, reporting(place.connect, rig, "gpu-03"):
        await rig.add(BURST)
        await confirmed(rig, BURST)
        assert [seq for _, _, seq in received.events()] == list(range(1, BURST + 1))
        assert received.early() == 0


async def test_a_broker_that_is_killed_in_a_burst_costs_no_event(
    place: Place, rig: PublisherRig, tmp_path: Path
) -> None:
    with place.kind.run(False) as server:
        own = place.on(server)
        async with collecting(own.connect, tmp_path) as received, reporting(own.connect, rig, "gpu-04"):
            adding = asyncio.create_task(rig.add(BURST))
            await until(received.events)
            await asyncio.to_thread(server.kill)
            await adding
            await rig.add(BURST)
            await asyncio.to_thread(server.start)
            await confirmed(rig, 2 * BURST)
            assert [seq for _, _, seq in received.events()] == list(range(1, 2 * BURST + 1))
            assert rig.host_report.alerts == {}
            async with own.connect(COLLECTOR, "reader")(None) as reader:
                await reader.subscribe(status_topic("gpu-04"))
                await take(reader, lambda message: message.retain and b'"online"' in message.payload)


async def test_events_that_the_broker_denies_for_a_while_all_arrive_in_the_end(
    place: Place, rig: PublisherRig, tmp_path: Path
) -> None:
    """The broker of MQTT 3.1.1 acknowledges what it denies: the collector's watermark keeps the rows."""
    async with collecting(place.connect, tmp_path) as received, reporting(place.connect, rig, "gpu-05"):
        await rig.add(3)
        await confirmed(rig, 3)
        before = place.denials()
        try:
            await asyncio.to_thread(place.kind.deny_events, place.server, True)
            await rig.add(12)
            if place.kind.in_use == "MQTT 5":
                await until(lambda: "events-denied" in rig.host_report.alerts)
            await until(lambda: place.denials() > before + 13)  # asked again, long after the answers to all twelve
            assert await rig.waiting() == list(range(4, 16))
            assert len(received.events()) == 3
        finally:
            await asyncio.to_thread(place.kind.deny_events, place.server, False)
        await confirmed(rig, 15)
        assert [seq for _, _, seq in received.events()] == list(range(1, 16))


async def test_a_host_cannot_speak_for_another_one(place: Place) -> None:
    async with place.connect(COLLECTOR, "watcher")(None) as watcher, place.connect("gpu-01", "a")(None) as liar:
        await watcher.subscribe(f"{ROOT}/hosts/+/status")
        with suppress(broker.PublishRefused):  # 3.1.1 has no reason code for it
            await liar.publish(status_topic("gpu-06"), b"foreign", retain=True)
        await liar.publish(status_topic("gpu-01"), b"own")
        heard = await take(watcher, lambda message: message.payload in (b"own", b"foreign"))
        assert heard.payload == b"own"


async def test_names_with_dots_arrive_as_they_are(place: Place, rig: PublisherRig, tmp_path: Path) -> None:
    host = "gpu-07.lab"
    rig.host_report.show_inventory(PendingInventory.of(make_inventory(left_out=1)))
    async with collecting(place.connect, tmp_path) as received, reporting(place.connect, rig, host):
        await rig.add(5)
        await confirmed(rig, 5)
        assert (await eventually_online(place, host)).summary.images == 1
        assert {name for name, _, _ in received.events()} == {host}
    (found,) = await broker_check.run(place.mqtt(host), host)
    assert (found.ok, found.hint.endswith('set agent.host = "gpu-07-lab"')) == (True, True)


async def test_an_inventory_of_900_kb_arrives_whole(place: Place, rig: PublisherRig) -> None:
    images = [make_inventory_image(f"sha256:{number:064}", f"team/torch:{'x' * 100}{number}") for number in range(1900)]
    large = make_inventory().model_copy(update={"images": images})
    assert 850_000 < len(large.encode()) < payloads.MAX_PAYLOAD
    rig.host_report.show_inventory(PendingInventory.of(large))
    async with reporting(place.connect, rig, "gpu-06"):
        assert (await eventually_online(place, "gpu-06")).inventory == large


async def test_with_tls_the_broker_is_trusted_by_its_own_authority_alone(place: Place) -> None:
    with place.kind.run(True) as server:
        own = place.on(server)
        async with own.connect("gpu-01", "a")(None) as connection:
            assert connection.peer == f"{server.url}, {own.kind.in_use}"
        with pytest.raises(broker.BrokerUnavailable, match="its certificate is not signed by an authority"):
            async with broker.connect(broker.options(own.mqtt("gpu-01", ca_file=""), "a")):
                pass
