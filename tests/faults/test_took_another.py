"""A tag passes to another image between the agent's look and its call: what the engine took is on record and told."""

import asyncio
from pathlib import Path

import pytest

from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from tests.faults import running
from tests.faults.running import DUE_AT_ONCE
from tests.support import images, proc, proxy
from tests.support.dockerd import Dockerd

pytestmark = pytest.mark.timeout(300)
REFS = ("team/idle:1", "team/idle:2")


@pytest.mark.parametrize("nth", [1, 2])  # by a tag, and by the ID
async def test_what_an_eviction_takes_with_it_is_in_its_outcome_and_a_critical_alert(
    any_engine: Dockerd, tmp_path: Path, nth: int
) -> None:
    any_engine.empty()
    running.torch(any_engine, *REFS)
    plain = images.import_image(any_engine, "other/plain:1")

    def pass_on() -> None:
        any_engine.docker("tag", "other/plain:1", REFS[2 - nth])
        any_engine.docker("rmi", "other/plain:1")

    async with proxy.before(any_engine.socket, tmp_path) as between:
        between.on("DELETE", "^/images/", nth=nth, before=lambda: asyncio.to_thread(pass_on))
        async with running.running(between.url, tmp_path, policy=DUE_AT_ONCE) as agent:
            outcomes = await proc.eventually_async(lambda: agent.events(payloads.OutcomeData.type))
            became = payloads.OutcomeData.model_validate(outcomes[0].data)
            if nth == 1:
                assert (became.outcome, became.also_removed) == ("refused", [REFS[1], plain])
                alert = await proc.eventually_async(lambda: raised(agent))
                assert alert is not None
                assert (alert.severity, plain in alert.message) == ("critical", True)
            else:  # by its ID, no other image can be meant
                assert (became.outcome, became.also_removed) == ("removed", [])
                assert images.image_id(any_engine, REFS[0]) == plain


async def raised(agent: running.LiveAgent) -> payloads.Alert | None:
    return agent.parts.host_report.alerts.get(AlertId.REMOVED_ANOTHER_IMAGE)
