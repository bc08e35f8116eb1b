"""One eviction, from the decision on disk to the outcome on disk, and the settling of one that was cut short.

The decision and the journal row are one transaction: a SIGKILL before it leaves nothing done, and after it a removal
that `settle_interrupted` ends, so that each decision has its outcome.
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

Seen = tuple[Usage | None, datetime | None]  # of an image, and the end of the last gap

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
        self._unsettled = True  # whether the journal may have rows of a removal that was cut short
        self._answers: dict[str, Answers] = {}  # of removals whose outcome is not written yet, by image

    async def note_would_remove(self, item: Decision) -> bool:
        """Record a decision that is not acted on, once for each due time; False where it was recorded before."""
        now = self._clock.now()
        identity, image = self._identity(item), self._image_ref(item)
        decision = new_events.decision(item, image, now, identity)
        outcome = new_events.outcome(identity, image, Outcome.WOULD_REMOVE, now)
        written = await self._store.record_decision(decision, outcome)
        if written:
            log.info("would evict", action="decide", image=name_of(item), why=item.explanation)
        return written

    async def evict(self, item: Decision) -> EvictionResult:
        """Decide, remove, record. Raises EngineError where the engine was lost on the way, and StateFull."""
        seen = self._seen_of(item.image)  # before anything is waited for: the plan is as old as this
        identity, image = self._identity(item), self._image_ref(item)
        decision = new_events.decision(item, image, self._clock.now(), identity)
        await self._begin(item.image, decision, image)
        before = self._used_bytes()
        result = await self._remove(item.image, seen)
        after = self._used_bytes()
        measured = before - after if before is not None and after is not None else None
        await self._end(item.image.id, identity, image, result, measured)
        log.info(
            "evicted" if result.outcome is Outcome.REMOVED else "not evicted",
            action="evict",
            image=name_of(item),
            why=item.explanation,
            outcome=result.outcome.value,
            error=result.error,
        )
        return EvictionResult(result.outcome, result.error, measured if result.outcome is Outcome.REMOVED else None)

    async def _begin(self, target: Image, decision: new_events.NewEvent, image: payloads.ImageRef) -> None:
        identity = str(decision.decision_id)
        journal = Removal(target.id, identity, target.references, decision.at, image.model_dump(mode="json"))
        self._unsettled = True  # until the outcome is written
        await self._view.engine_store.begin_removal(journal, decision)

    async def _remove(self, target: Image, seen: Seen) -> removal.RemovalResult:
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
                undisturbed=lambda: view.current and self._seen_of(target) == seen,
            )
        finally:
            view.own.end(target.id, self._clock.now())

    def _seen_of(self, target: Image) -> Seen:
        """What changes with every use, arrival or name that the stream tells of, or that was lost from it."""
        return self._view.tracker.usages.get(target.id), self._view.gap_end

    async def _end(
        self,
        image_id: str,
        identity: str,
        image: payloads.ImageRef,
        result: removal.RemovalResult,
        measured: int | None,
    ) -> None:
        """Write the outcome. What was not removed is left alone for a while."""
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
            log.error("removed something else as well", action="evict", image=image_id, also_removed=list(also))
        self._unsettled = False

    async def settle_interrupted(self) -> None:
        """End the removals that a crash or the engine's end cut short: gone with an outcome, or whole again."""
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
            log.warning("settled a removal that was cut short", action="settle", image=journal.image_id,
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
    """What people call an image: its first reference, else the start of its ID."""
    return item.image.standalone[0] if item.image.standalone else item.image.id[7:19]


def _backoff(failures: int) -> timedelta:
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << min(failures, 10)))
