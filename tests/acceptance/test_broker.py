"""A broker that is down, dies, or refuses delays no eviction; it gets later, in order, what it missed."""

from tests.acceptance.collector import AcceptanceCollector, Json, collecting
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, mosquitto, proc

pytestmark = engines.ON_ONE

RECONNECT = 2 * proc.PATIENCE  # for the agent's back-off and the collector's


def acts(collector: AcceptanceCollector) -> list[tuple[str, str]]:
    return [(event["subject"], event["type"]) for event in collector.events() if event["subject"]]


def before_and_after(*removed: str) -> list[tuple[str, str]]:
    return [(image, f"torchkeeper.{kind}") for image in removed for kind in ("decision", "outcome")]


def numbers(events: list[Json]) -> list[int]:
    return [event["data"]["seq"] for event in events]


def test_a_broker_that_is_away_blocks_nothing_and_later_gets_everything_in_order(
    host: RealHost, fleet_broker: mosquitto.Mosquitto
) -> None:
    with collecting(fleet_broker):
        pass  # from now on the broker keeps what this collector misses
    fleet_broker.stop()
    with host.agent():
        first = host.torch("team/first:1")
        host.await_gone(first)
        second = host.torch("team/second:1")
        host.await_gone(second)
        fleet_broker.start()
        with collecting(fleet_broker) as collector:
            proc.eventually(lambda: acts(collector) == before_and_after(first, second), RECONNECT)
            collector.await_state(NAME, "online")
            sent = collector.events()
    assert numbers(sent) == sorted(numbers(sent))
    stored = host.json("history")["events"]
    assert [event["id"] for event in stored[: len(sent)]] == [event["id"] for event in sent]


def test_a_broker_killed_in_the_middle_gets_the_rest_when_it_is_back(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto
) -> None:
    with host.agent():
        first = host.torch("team/first:1")
        collector.await_event("outcome", first)
        fleet_broker.kill()
        second = host.torch("team/second:1")
        host.await_gone(second)
        fleet_broker.start()
        third = host.torch("team/third:1")
        collector.await_event("outcome", third, RECONNECT)
    assert acts(collector) == before_and_after(first, second, third)
    got = numbers(collector.events())
    assert got == sorted(got)


def test_an_agent_killed_before_it_could_report_reports_when_it_is_back(
    host: RealHost, fleet_broker: mosquitto.Mosquitto
) -> None:
    image = host.torch("team/idle:1")
    fleet_broker.stop()
    with host.agent() as agent:
        host.await_gone(image)
        proc.eventually(lambda: len(host.json("history")["events"]) >= 2)
        agent.kill()
    fleet_broker.start()
    with collecting(fleet_broker) as collector, host.agent():
        collector.await_event("outcome", image)
    assert acts(collector) == before_and_after(image)


def test_an_agent_cannot_speak_for_another_host_and_evicts_all_the_same(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(agent={"host": "gpu-02"})
    with host.agent():
        host.evict_a_control_image()
        proc.eventually(lambda: host.count_in_log("the broker refuses topics of this host"))
        host.evict_a_control_image()
        refused = host.log.read_text()
        proc.eventually(lambda: len(host.json("history")["events"]) >= 4)
    assert "torchkeeper/v1/hosts/gpu-02/status" in refused
    assert "the login is 'gpu-01' but the host is 'gpu-02'" in refused
    assert refused.count("the broker refuses topics") == refused.count("connected to the broker")
    assert "Not authorized" in refused
    assert (collector.events(), collector.messages) == ([], [])


def test_a_refused_login_delays_nothing(host: RealHost, fleet_broker: mosquitto.Mosquitto) -> None:
    host.report_to(fleet_broker, password="wrong")
    with host.agent():
        host.evict_a_control_image()
        proc.eventually(lambda: host.count_in_log("the broker is not reachable"))
        assert (
            host.count_in_log("Not authorized") + host.count_in_log("not authorised") + host.count_in_log("refuse") > 0
        )


def test_events_refused_by_the_acl_arrive_once_the_acl_is_corrected(
    host: RealHost, collector: AcceptanceCollector, fleet_broker: mosquitto.Mosquitto
) -> None:
    acl = fleet_broker.folder / "acl"
    acl.write_text(mosquitto.ACL.replace("hosts/%u/#", "hosts/%u/status"))
    fleet_broker.restart()
    with host.agent():
        first = host.torch("team/first:1")
        host.await_gone(first)
        proc.eventually(lambda: host.count_in_log("Not authorized"))
        acl.write_text(mosquitto.ACL)
        fleet_broker.restart()
        collector.await_event("outcome", first, RECONNECT)
    assert acts(collector) == before_and_after(first)
