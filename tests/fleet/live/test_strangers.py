"""Whoever may publish as a host can publish anything that decodes; none of it may stop the monitor."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Committed, Incoming
from agent.fleet.collector.fold import Fold
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.snapshot import make
from agent.fleet.web import documents, events, metrics
from agent.fleet.web.metric_families import Facts
from tests.support.live import BOOT
from tests.support.messages import make_decision, make_info, make_inventory, make_outcome, make_status, topic
from tests.support.times import START

NUMBERS = st.integers() | st.sampled_from([10**400, -(10**400), 2**63])
TEXTS = st.text() | st.sampled_from(["\0", "\u2028", "<img src=x onerror=alert(1)>", "x" * 10_000])
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=23, minutes=59)), timezone(-timedelta(hours=23, minutes=59))])
TIMES = st.datetimes(timezones=ZONES) | st.sampled_from([
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
])  # fmt: skip
ANYTHING = st.recursive(st.none() | st.booleans() | st.floats() | NUMBERS | TEXTS, st.lists, max_leaves=3)


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


def written(model: payloads.Payload, changed: dict[str, Any]) -> bytes:
    """The payload with some fields replaced by what no agent sends."""
    return json.dumps({**json.loads(model.encode()), **changed}, default=datetime.isoformat).encode()


DISKS = fields(total_bytes=NUMBERS, used_bytes=NUMBERS, images_bytes=NUMBERS, reclaimable_bytes=NUMBERS)
MESSAGES = st.one_of(
    st.builds(
        lambda change: ("status", written(make_status(), change)),
        fields(at=TIMES, session=NUMBERS, agent_id=TEXTS, state=st.sampled_from(["online", "offline"])),
    ),
    st.builds(
        lambda change: ("info", written(make_info(), change)),
        fields(at=TIMES, version=TEXTS, policy=st.dictionaries(st.just("pressure"), fields(high=ANYTHING))),
    ),
    st.builds(
        lambda change: ("inventory", written(make_inventory(), change)),
        fields(at=TIMES, disk=DISKS, images_left_out=NUMBERS),
    ),
    st.builds(
        lambda change: ("alerts/x", json.dumps(change, default=datetime.isoformat).encode()),
        st.fixed_dictionaries({
            "id": TEXTS, "severity": st.sampled_from(["warning", "critical"]), "message": TEXTS, "since": TIMES,
        }),
    ),
    st.builds(
        lambda change, data: ("events", written(make_decision(), {**change, "data": {**make_decision().data, **data}})),
        fields(time=TIMES), fields(reason=TEXTS, estimated_bytes=NUMBERS, explanation=TEXTS),
    ),
    st.builds(
        lambda change, data: ("events", written(make_outcome(), {**change, "data": {**make_outcome().data, **data}})),
        fields(time=TIMES), fields(measured_bytes=NUMBERS, error=TEXTS),
    ),
    st.tuples(st.sampled_from(["status", "info", "inventory", "alerts/x"]), st.just(b"")),
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(MESSAGES, max_size=8))
def test_no_message_that_decodes_breaks_rows_alerts_frames_or_metrics(messages: list[tuple[str, bytes]]) -> None:
    live, fold = LiveFleet(BOOT), Fold(Topics("torchkeeper", "+"), {}, {})
    incoming = [Incoming(topic(rest), payload, START) for rest, payload in messages]
    live.apply(fold.apply(incoming, START), Committed())
    live.tick(START)
    changes = live.changes(0)
    assert changes is not None
    alerts = [events.alert_fields(alert) for alert in changes.alerts]
    assert json.loads(events.as_json(alerts)) == alerts
    assert len(json.loads(make(live.position, live.rows()).json)["hosts"]) == len(live.rows())
    assert live.totals().alerts == len(alerts)
    page = metrics.make(facts(live), 2000)
    assert page.text.endswith(b"\n")


def facts(live: LiveFleet) -> Facts:
    health = documents.Health(broker="connected", behind_events=0, last_commit=None)
    return Facts(
        rows=live.rows(), alerts=live.alerts(), counters=live.counters.copy(), health=health, viewers=0, version="1"
    )
