"""Removes one image completely or not at all. Never uses force; always uses `noprune` and the full ID.

Docker has no lock. If it refuses the removal, removed tags are put back; after a crash, `settle` does the same from the
journal. The order of the calls is the safest one known (measured on Docker 20.10 to 29.7).
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from agent.adapters.engine import Conflict, Engine, EngineError, EngineUnavailable, NotFound, Removed
from agent.core.model import Image
from agent.core.policy.decision import Outcome
from agent.core.usage.own_removals import OwnRemovals
from agent.eviction.removal_answers import Answers

# Why it is unknown what else was removed.
UNREADABLE, UNHEARD = "an answer could not be read", "an answer was not heard"


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """The result of a removal. `error`: why it failed, or what is unknown of it; None: only the image was removed."""

    outcome: Outcome
    error: str | None = None


async def remove(
    engine: Engine,
    image: Image,
    own: OwnRemovals,
    answers: Answers,
    *,
    containerd: bool,
    undisturbed: Callable[[], bool],
) -> RemovalResult:
    """Remove an image with all its references, or leave it with all its tags.

    The caller has checked that nothing uses it, written the journal row, and called `own.begin`. `undisturbed`: whether
    the stream is proven, and has shown no use or change of this image by others since the plan. `answers` collects what
    else the engine removed. Raises EngineUnavailable if the engine fails in between: the journal row then stays, and
    `settle` finishes the removal later.
    """
    return await _Removal(engine, image, own, answers, containerd, undisturbed).run()


async def settle(
    engine: Engine, image_id: str, references: tuple[str, ...], own: OwnRemovals, lacking: str = UNHEARD
) -> RemovalResult:
    """Finish an interrupted removal: the image is gone, or gets all its tags back.

    `lacking`: why the engine's answers are incomplete. After a crash, they were not received.
    """
    if await _is_gone(engine, image_id):
        return RemovalResult(Outcome.REMOVED, _words(lacking=lacking))
    left_out = await restore(engine, image_id, references, own)
    return RemovalResult(Outcome.FAILED, _words("interrupted; the image is whole", left_out, lacking))


async def restore(engine: Engine, image_id: str, references: Iterable[str], own: OwnRemovals) -> tuple[str, ...]:
    """Give an image its tags back. Returns the tags that now point to another image; these are not moved."""
    taken = []
    for reference in references:
        holder = await _holder(engine, reference)
        if holder is None:
            own.expect(image_id, "tag", reference)
            await engine.tag(image_id, reference)
        elif holder != image_id:
            taken.append(reference)
    return tuple(taken)


@dataclass(slots=True)
class _Removal:
    """The state of one removal."""

    engine: Engine
    image: Image
    own: OwnRemovals
    answers: Answers
    containerd: bool
    undisturbed: Callable[[], bool]
    left: list[str] = field(init=False)  # tags not removed yet; the last one is removed with the image
    asked: list[str] = field(default_factory=list)  # tags that the engine was asked to remove

    def __post_init__(self) -> None:
        self.left = _kept_longest_last(self.image)

    async def run(self) -> RemovalResult:
        try:
            await self._take_apart()
        except NotFound:
            pass  # already gone, or removed with its last reference: checked below
        except EngineUnavailable:
            raise
        except EngineError as error:
            return await self._put_back(error)
        if await _is_gone(self.engine, self.image.id):
            await self._find_lost_tags()
            return RemovalResult(Outcome.REMOVED, _words(lacking=self.answers.lacking))
        return await self._put_back(Conflict(409, "the engine took its names but kept the image"))

    async def _find_lost_tags(self) -> None:
        """Report tags that moved to another image during the removal and are gone now: that image lost them."""
        for tag in self.own.passed(self.image.id).intersection(self.asked):
            if await _holder(self.engine, tag) is None:
                self.answers.lose(tag)
                self.asked.remove(tag)

    async def _take_apart(self) -> None:
        """Remove all tags but one, then delete by the ID: the last tag goes with the image, and no other image can."""
        while len(self.left) > 1:
            tags, _ = await self._check_references()
            if (tag := self.left.pop(0)) in tags:
                await self._untag(tag)
        tags, digests = await self._check_references()
        if extra := self._extra_digests(tags, digests):
            for digest in extra:
                await self._drop(digest)
            tags, digests = await self._check_references()
        await self._delete(tags, digests)

    async def _put_back(self, error: EngineError) -> RemovalResult:
        """Give the image back the tags that this removal took, except tags that point to another image now."""
        await self._find_lost_tags()
        try:
            left_out = await restore(self.engine, self.image.id, self.asked, self.own)
        except NotFound:  # the image is gone nevertheless
            return RemovalResult(Outcome.REMOVED, _words(lacking=self.answers.lacking))
        outcome = Outcome.REFUSED if isinstance(error, Conflict) else Outcome.FAILED
        return RemovalResult(outcome, _words(str(error), left_out, self.answers.lacking))

    async def _check_references(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The image's tags and digests now. Raises Conflict if anybody else has used or changed it meanwhile."""
        tags, digests = await self.engine.references(self.image.id)
        added = {*tags} - {*self.left}
        if not self.containerd:  # in the containerd store, digests come and go with the tags
            added |= {*digests} - {*self.image.digests}
        if added:
            raise Conflict(409, f"somebody named it {', '.join(sorted(added))} meanwhile")
        for tag in self.left:
            if tag not in tags and await _holder(self.engine, tag) not in (None, self.image.id):
                raise Conflict(409, f"{tag} names another image by now")
        if not self.undisturbed():
            raise Conflict(409, "somebody may have used or named it meanwhile")
        return tags, digests

    def _extra_digests(self, tags: tuple[str, ...], digests: tuple[str, ...]) -> list[str]:
        """The digests to remove first: Docker deletes by ID only if all references left are of one repository.

        A graph driver accepts a single digest beside the tag. In the containerd store, deleting a digest deletes every
        reference of its repository, so a digest of the kept tag's repository stays.
        """
        kept = _repository(tags[0]) if tags else None
        own = [digest for digest in digests if kept is None or digest.partition("@")[0] == kept]
        return [digest for digest in digests if digest not in own[:1]]

    async def _untag(self, tag: str) -> None:
        self.asked.append(tag)
        try:
            await self._drop(tag)
        except _TookAnother:
            self.asked.remove(tag)  # it had moved to another image, and is gone now
            raise

    async def _drop(self, reference: str) -> None:
        self.own.expect(self.image.id, "untag", reference)
        if await self._take(self.engine.untag(reference)):
            raise _TookAnother(409, f"{reference} had passed to another image, which lost it")

    async def _delete(self, tags: tuple[str, ...], digests: tuple[str, ...]) -> None:
        self.asked += tags
        self.own.expect(self.image.id, "untag", *(tags if self.containerd and tags else (*tags, *digests)))
        self.own.expect(self.image.id, "delete", "")
        await self._take(self.engine.delete(self.image.id))

    async def _take(self, call: Awaitable[Removed]) -> bool:
        """Record the answer to a DELETE. Returns True if it removed anything that is not part of this image."""
        try:
            removed = await call
        except EngineUnavailable:
            self.answers.lacking = UNHEARD
            raise
        if not removed.readable:
            self.answers.lacking = UNREADABLE
        return self.answers.take(removed.untagged, removed.deleted)


class _TookAnother(Conflict):
    """A tag had moved to another image between the last check and the call."""


def _kept_longest_last(image: Image) -> list[str]:
    """The tags in removal order. A repository's last tag takes its digest along for good, so such a tag comes last."""
    pulled = {digest.partition("@")[0] for digest in image.digests}
    kept_first = sorted(image.references, key=lambda reference: _repository(reference) not in pulled)
    return [*kept_first[1:], *kept_first[:1]]


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]


def _words(error: str = "", left_out: tuple[str, ...] = (), lacking: str = "") -> str | None:
    """The error text of a removal; None if there is nothing to report."""
    others = f"{', '.join(left_out)} names another image by now" if left_out else ""
    unknown = f"whether the engine removed anything else is not known: {lacking}" if lacking else ""
    return "; ".join(filter(None, (error, others, unknown))) or None


async def _holder(engine: Engine, reference: str) -> str | None:
    try:
        return await engine.image_id(reference)
    except NotFound:
        return None


async def _is_gone(engine: Engine, image_id: str) -> bool:
    return await _holder(engine, image_id) is None
