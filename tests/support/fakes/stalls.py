"""A stall detector that a test sets."""

import asyncio

from agent.tracking.stalls import StallDetector


class FakeStallDetector(StallDetector):
    """Notices a stall when the test says so: no real time counts."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def check(self) -> bool:
        return self.noticed.is_set()
