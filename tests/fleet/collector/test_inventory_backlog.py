"""Which inventories wait to be stored, and which are stored first."""

import random

import pytest

from agent.fleet.collector import inventory_backlog
from agent.fleet.collector.batch import InventoryChange
from agent.fleet.collector.inventory_backlog import InventoryBacklog
from tests.support import live as make
from tests.support.messages import make_inventory_image


def backlog(*changes: InventoryChange) -> InventoryBacklog:
    made = InventoryBacklog()
    for number, change in enumerate(changes):
        made.put(change, float(number))
    return made


def inventory(host: str, *names: str) -> InventoryChange:
    return make.inventory(*(make_inventory_image(f"sha256:{name}", name) for name in names), host=host)


def test_the_last_inventory_of_each_host_waits_in_the_place_of_its_first() -> None:
    first, second, last = inventory("a", "x:1"), inventory("b", "x:1"), inventory("a", "x:2")
    waiting = backlog(first, second, last)
    assert (len(waiting), waiting.first()) == (2, [last, second])
    assert waiting.longest_wait(10.0) == 10.0


def test_what_was_stored_waits_no_longer() -> None:
    one, other = inventory("a"), inventory("b")
    waiting = backlog(one, other)
    waiting.remove("a", "unknown")
    assert (waiting.first(), waiting.of("a"), waiting.of("b")) == ([other], [], [other])
    assert ("a" in waiting, waiting.longest_wait(10.0)) == (False, 9.0)
    waiting.remove("b")
    assert (len(waiting), waiting.first(), waiting.longest_wait(10.0)) == (0, [], 0.0)


@pytest.mark.parametrize(("bound", "value"), [("AT_ONCE", 2), ("AT_ONCE_BYTES", 2 * len(inventory("a").text))])
def test_only_as_many_are_stored_together_as_fit_into_the_memory(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    changes = [inventory(host) for host in "abc"]
    monkeypatch.setattr(inventory_backlog, bound, value)
    assert backlog(*changes).first() == changes[:2]


def test_one_that_is_larger_than_the_bound_is_stored_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = inventory("a", "x:1", "x:2"), inventory("b")
    monkeypatch.setattr(inventory_backlog, "AT_ONCE_BYTES", 1)
    assert backlog(large, small).first() == [large]


def test_it_is_full_by_what_it_takes_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"x:{random.Random(number).getrandbits(256)}" for number in range(20)]
    waiting = backlog(inventory("a", *names))
    monkeypatch.setattr(inventory_backlog, "FULL", 1000)
    found = [waiting.is_full]
    waiting.put(inventory("a"), 0.0)
    found.append(waiting.is_full)
    waiting.put(inventory("b", *names), 0.0)
    found.append(waiting.is_full)
    waiting.remove("b")
    found.append(waiting.is_full)
    assert found == [True, False, True, False]
