"""Carries out evictions, with decision and outcome on disk, and finishes those that were interrupted.

One transaction writes the decision and the journal row. After a SIGKILL before it, nothing was removed; after a later
one, `settle_interrupted` finishes the removal, so that each decision has an outcome.
"""

from datetime import datetime, timedelta

import structlog

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine
from agent.adapters.sqlite.removal_journal import Removal
from agent.adapters.sqlite.store import Store
from agent.core.model import Image, Usage
from agent.core.policy.decision import Decision, Outcome
from agent.core.protocol import new_events, payloads
from agent.eviction import removal
from agent.eviction.removal_answers import Answers
from agent.eviction.results import EvictionResult
from agent.tracking.ingestor import EventIngestor

log = structlog.get_logger()

UsageState = tuple[Usage | None, datetime | None]  # the usage of an image, and the end of the last gap

FIRST_BACKOFF = timedelta(minutes=10)
LONGEST_BACKOFF = timedelta(days=1)


class Evictor:
    """Carries out decisions, one at a time, each recorded before and after."""

    def __init__(self, engine: Engine, ingestor: EventIngestor, store: Store, clock: Clock) -> None:
        self._engine = engine
        self._ingestor = ingestor
        self._view = ingestor.view
        self._store = store
        self._clock = clock
        self._unsettled = True  # whether the journal may have rows of an interrupted removal
        self._answers: dict[str, Answers] = {}  # image ID -> answers to a removal whose outcome is not written yet

    async def note_would_remove(self, item: Decision) -> bool:
        """Record a decision in observe mode, once for each due time. Returns False if it was recorded before."""
        now = self._clock.now()
        identity, image = self._identity(item), self._image_ref(item)
        decision = new_events.decision(item, image, now, identity)
        outcome = new_events.outcome(identity, image, Outcome.WOULD_REMOVE, now)
        written = await self._store.record_decision(decision, outcome)
        if written:
            log.info("would evict", action="decide", image=name_of(item), why=item.explanation)
        return written

    async def evict(self, item: Decision) -> EvictionResult:
        """Record the decision, remove the image, record the outcome. Raises EngineError and StateFull."""
        planned_with = self._usage_state(item.image)  # before the first await, so that it is as old as the plan
        identity, image = self._identity(item), self._image_ref(item)
        decision = new_events.decision(item, image, self._clock.now(), identity)
        await self._begin(item.image, decision, image)
        before = self._used_bytes()
        result = await self._remove(item.image, planned_with)
        after = self._used_bytes()
        measured = before - after if before is not None and after is not None else None
        await self._end(item.image.id, identity, image, result, measured)
        removed = result.outcome is Outcome.REMOVED
        log.info(
            "evicted" if removed else "not evicted",
            action="evict",
            image=name_of(item),
            why=item.explanation,
            freed_bytes=measured if removed and (measured or 0) > 0 else None,  # others may have written more meanwhile
            outcome=None if removed else result.outcome.value,
            error=result.error,
        )
        return EvictionResult(result.outcome, result.error, measured if removed else None)

    async def _begin(self, target: Image, decision: new_events.NewEvent, image: payloads.ImageRef) -> None:
        identity = str(decision.decision_id)
        journal = Removal(target.id, identity, target.references, decision.at, image.model_dump(mode="json"))
        self._unsettled = True  # until the outcome is written
        await self._view.engine_store.begin_removal(journal, decision)

    async def _remove(self, target: Image, planned_with: UsageState) -> removal.RemovalResult:
        view, engine = self._view, self._view.engine
        self._answers[target.id] = Answers(target, {image.id: self._origin(image) for image in view.images})
        view.own.begin(target.id, self._clock.now())
        try:
            return await removal.remove(
                self._engine,
                target,
                view.own,
                self._answers[target.id],
                containerd=engine is not None and engine.containerd_store,
                undisturbed=lambda: view.current and self._usage_state(target) == planned_with,
            )
        finally:
            view.own.end(target.id, self._clock.now())

    def _usage_state(self, target: Image) -> UsageState:
        """A value that changes with each use, arrival or new name of the image, and with each gap."""
        return self._view.tracker.usages.get(target.id), self._view.gap_end

    async def _end(
        self,
        image_id: str,
        identity: str,
        image: payloads.ImageRef,
        result: removal.RemovalResult,
        measured: int | None,
    ) -> None:
        """Write the outcome. If the image was not removed, it is not tried again before a back-off time."""
        now, engine_store = self._clock.now(), self._view.engine_store
        removed = result.outcome is Outcome.REMOVED
        if removed:
            await self._ingestor.mark_removed(image_id)
        answers = self._answers.get(image_id)
        also = answers.also_removed if answers is not None else ()
        event = new_events.outcome(
            identity,
            image,
            result.outcome,
            now,
            measured_bytes=measured if removed else None,
            error=result.error,
            also_removed=also,
        )
        failures = await engine_store.count_failures(image_id)
        not_before = None if removed else now + _backoff(failures)
        await engine_store.end_removal(image_id, event, not_before)
        self._answers.pop(image_id, None)
        if also:
            log.error("the engine also removed something else", action="evict", image=image_id, also_removed=list(also))
        self._unsettled = False

    async def settle_interrupted(self) -> None:
        """Finish interrupted removals: the image is gone, or has its tags again. Write the outcome of each."""
        if not self._unsettled:
            return
        for journal in await self._view.engine_store.load_removals():
            answers, own = self._answers.get(journal.image_id), self._view.own
            lacking = answers.lacking if answers is not None else removal.UNHEARD
            own.begin(journal.image_id, self._clock.now())
            try:
                result = await removal.settle(self._engine, journal.image_id, journal.references, own, lacking)
            finally:
                own.end(journal.image_id, self._clock.now())
            image = payloads.ImageRef.model_validate(journal.image)
            await self._end(journal.image_id, journal.decision_id, image, result, None)
            log.warning("recovered an interrupted removal", action="settle", image=journal.image_id,
                        outcome=result.outcome.value)  # fmt: skip
        self._unsettled = False

    def _identity(self, item: Decision) -> str:
        return new_events.decision_id(item, self._store.epoch)

    def _image_ref(self, item: Decision) -> payloads.ImageRef:
        return new_events.image_ref(item, pulled=self._pulled(item.image))

    def _origin(self, image: Image) -> str | None:
        return new_events.origin(image, pulled=self._pulled(image))

    def _pulled(self, image: Image) -> bool:
        usage = self._view.tracker.usages.get(image.id)
        return usage is not None and usage.pulled

    def _used_bytes(self) -> int | None:
        space = self._view.space()
        return space.used_bytes if space else None


def name_of(item: Decision) -> str:
    """The name of an image for people: its first reference, else the start of its ID."""
    return item.image.standalone[0] if item.image.standalone else item.image.id[7:19]


def _backoff(failures: int) -> timedelta:
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << min(failures, 10)))
