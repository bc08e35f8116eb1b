"""The removal of one image: whole or not at all. Never force, always `noprune`, by the full ID.

The engine has no lock. What is untagged is put back where the engine then refuses; a crash in between is settled by
the same call, from the journal. The order of the acts is that of the safest removal known (measured on 20.10 to 29.7).
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from agent.adapters.engine import Conflict, Engine, EngineError, EngineUnavailable, NotFound, Removed
from agent.core.model import Image
from agent.core.policy.decision import Outcome
from agent.core.usage.own_removals import OwnRemovals
from agent.eviction.removal_answers import Answers

UNREADABLE, UNHEARD = "an answer could not be read", "an answer was not heard"  # why nobody knows what else went


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What became of a removal. `error`: why it did not go, or what is not known of it; None: it went, and alone."""

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

    The caller has checked that nothing uses it, written the journal row, and begun the act in `own`. `undisturbed`:
    whether the stream is whole, and has told of nobody else at this image since. What else the engine took is in
    `answers`. Raises EngineUnavailable where the engine is lost on the way: the journal row then stays, and `settle`
    ends it when the engine is back.
    """
    return await _Removal(engine, image, own, answers, containerd, undisturbed).run()


async def settle(
    engine: Engine, image_id: str, references: tuple[str, ...], own: OwnRemovals, lacking: str = UNHEARD
) -> RemovalResult:
    """End a removal that was cut short: the image is gone, or gets back all the tags that it had.

    `lacking`: why the engine's answers do not tell everything. After a crash nobody heard them.
    """
    if await _is_gone(engine, image_id):
        return RemovalResult(Outcome.REMOVED, _words(lacking=lacking))
    left_out = await restore(engine, image_id, references, own)
    return RemovalResult(Outcome.FAILED, _words("interrupted; the image is whole", left_out, lacking))


async def restore(engine: Engine, image_id: str, references: Iterable[str], own: OwnRemovals) -> tuple[str, ...]:
    """Give an image its tags back. Returns those that by now name another image, and are left to it."""
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
    """One removal under way."""

    engine: Engine
    image: Image
    own: OwnRemovals
    answers: Answers
    containerd: bool
    undisturbed: Callable[[], bool]
    left: list[str] = field(init=False)  # tags that the engine was not asked to take yet; the last one goes by the ID
    asked: list[str] = field(default_factory=list)  # the others

    def __post_init__(self) -> None:
        self.left = _kept_longest_last(self.image)

    async def run(self) -> RemovalResult:
        try:
            await self._take_apart()
        except NotFound:
            pass  # gone already, or its last reference took it along: the look below tells
        except EngineUnavailable:
            raise
        except EngineError as error:
            return await self._put_back(error)
        if await _is_gone(self.engine, self.image.id):
            await self._find_lost_tags()
            return RemovalResult(Outcome.REMOVED, _words(lacking=self.answers.lacking))
        return await self._put_back(Conflict(409, "the engine took its names but kept the image"))

    async def _find_lost_tags(self) -> None:
        """A tag that another image got, and that nobody has now, was that image's when the engine took it."""
        for tag in self.own.passed(self.image.id).intersection(self.asked):
            if await _holder(self.engine, tag) is None:
                self.answers.lose(tag)
                self.asked.remove(tag)

    async def _take_apart(self) -> None:
        """Down to one tag, which goes with the image: asked for by its ID, the engine cannot take another one."""
        while len(self.left) > 1:
            tags, _ = await self._look()
            if (tag := self.left.pop(0)) in tags:
                await self._untag(tag)
        tags, digests = await self._look()
        if extra := self._extra_digests(tags, digests):
            for digest in extra:
                await self._drop(digest)
            tags, digests = await self._look()
        await self._delete(tags, digests)

    async def _put_back(self, error: EngineError) -> RemovalResult:
        """Give the image back what the engine was asked to take. What others took is theirs."""
        await self._find_lost_tags()
        try:
            left_out = await restore(self.engine, self.image.id, self.asked, self.own)
        except NotFound:  # it went after all
            return RemovalResult(Outcome.REMOVED, _words(lacking=self.answers.lacking))
        outcome = Outcome.REFUSED if isinstance(error, Conflict) else Outcome.FAILED
        return RemovalResult(outcome, _words(str(error), left_out, self.answers.lacking))

    async def _look(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Its tags and digests now. Raises Conflict where anybody else has done something with it meanwhile."""
        tags, digests = await self.engine.references(self.image.id)
        came = {*tags} - {*self.left}
        if not self.containerd:  # there digests come and go with the tags
            came |= {*digests} - {*self.image.digests}
        if came:
            raise Conflict(409, f"somebody named it {', '.join(sorted(came))} meanwhile")
        for tag in self.left:
            if tag not in tags and await _holder(self.engine, tag) not in (None, self.image.id):
                raise Conflict(409, f"{tag} names another image by now")
        if not self.undisturbed():
            raise Conflict(409, "somebody may have used or named it meanwhile")
        return tags, digests

    def _extra_digests(self, tags: tuple[str, ...], digests: tuple[str, ...]) -> list[str]:
        """The engine deletes by ID only with the references of one repository left.

        A graph driver takes a single digest beside the tag. On the containerd store deleting a digest deletes every
        reference of its repository, so those of the kept tag stay.
        """
        kept = _repository(tags[0]) if tags else None
        own = [digest for digest in digests if kept is None or digest.partition("@")[0] == kept]
        return [digest for digest in digests if digest not in own[:1]]

    async def _untag(self, tag: str) -> None:
        self.asked.append(tag)
        try:
            await self._drop(tag)
        except _TookAnother:
            self.asked.remove(tag)  # it was not this image's any more, and is nobody's now
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
        """Take in the answer to a DELETE. True where it took anything else than what is this image's."""
        try:
            removed = await call
        except EngineUnavailable:
            self.answers.lacking = UNHEARD
            raise
        if not removed.readable:
            self.answers.lacking = UNREADABLE
        return self.answers.take(removed.untagged, removed.deleted)


class _TookAnother(Conflict):
    """A name had passed to another image between the look and the call."""


def _kept_longest_last(image: Image) -> list[str]:
    """A repository's digest goes with its last tag and cannot be put back, so a tag that has one stays longest."""
    pulled = {digest.partition("@")[0] for digest in image.digests}
    kept_first = sorted(image.references, key=lambda reference: _repository(reference) not in pulled)
    return [*kept_first[1:], *kept_first[:1]]


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]


def _words(error: str = "", left_out: tuple[str, ...] = (), lacking: str = "") -> str | None:
    """What is to be said of a removal; None where it just went."""
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
