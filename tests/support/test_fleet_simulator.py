"""What simulated hosts publish is what agents publish, so that a test with them says something about agents."""

from agent.adapters.broker import Message
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Batch, Incoming, InfoChange, InventoryChange, StatusChange, StreamState
from agent.fleet.collector.fold import Fold
from tests.support.fleet_simulator import PREFIX, Fleet
from tests.support.times import START


def fold(*messages: Message) -> Batch:
    """What a collector makes of them."""
    incoming = [Incoming(one.topic, one.payload, START, one.retain) for one in messages]
    return Fold(Topics("torchkeeper", "+"), {}, {}).apply(incoming, START)


def test_births_are_a_status_an_info_and_an_inventory_of_about_10_kb_for_each_host() -> None:
    fleet = Fleet.make(3, images=15, now=START)
    births = list(fleet.births())
    batch = fold(*births)
    assert [type(change) for change in batch.changes] == 3 * [StatusChange, InfoChange, InventoryChange]
    assert batch.undecodable == []
    inventories = [change.summary for change in batch.changes if isinstance(change, InventoryChange)]
    assert [summary.images for summary in inventories if summary is not None] == [15, 15, 15]
    assert all(message.retain for message in births)
    assert 8_000 < len(births[2].payload) < 12_000


def test_events_are_decisions_each_with_its_outcome() -> None:
    fleet = Fleet.make(2, now=START)
    host = fleet.hosts[0]
    batch = fold(*(fleet.event(host, seq) for seq in range(1, 5)))
    assert batch.streams == {(host.name, host.epoch): StreamState(4, (), 4)}
    types = [payloads.DecisionData, payloads.OutcomeData, payloads.DecisionData, payloads.OutcomeData]
    assert [type(event.data) for event in batch.events] == types
    first, second, third, fourth = (event.event.data["decision_id"] for event in batch.events)
    assert (first, third) == (second, fourth)
    assert first != third


def test_a_simulated_host_is_named_as_such_and_the_same_seed_makes_the_same_fleet() -> None:
    first, again, other = Fleet.make(3, now=START), Fleet.make(3, now=START), Fleet.make(3, seed=2, now=START)
    assert all(host.name.startswith(PREFIX) for host in first.hosts)
    assert list(first.births()) == list(again.births())
    assert {host.epoch for host in first.hosts}.isdisjoint(host.epoch for host in other.hosts)
