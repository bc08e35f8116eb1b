"""Documents that everybody who asks within some seconds shares."""

import asyncio

from agent.fleet.web import documents
from agent.fleet.web.documents import Document
from agent.fleet.web.shared import MOST, SharedDocuments
from tests.support.fakes.clock import FakeClock


class Maker:
    """Makes documents, each another one, and each only when it may."""

    def __init__(self) -> None:
        self.made = 0
        self.may = asyncio.Event()
        self.may.set()

    async def make(self) -> Document:
        await self.may.wait()
        self.made += 1
        return documents.Version(version=str(self.made))


async def test_a_document_is_made_again_once_it_is_too_old() -> None:
    clock, maker = FakeClock(), Maker()
    shared = SharedDocuments(clock)
    versions = []
    for wait in (0, 5, 0.1):
        await clock.advance(wait)
        versions.append(await shared.get("a", 5, maker.make))
    assert versions == [documents.Version(version=number) for number in ("1", "1", "2")]


async def test_many_who_ask_at_once_wait_for_one() -> None:
    maker = Maker()
    shared = SharedDocuments(FakeClock())
    maker.may.clear()
    asking = [asyncio.create_task(shared.get("a", 5, maker.make)) for _ in range(50)]
    await asyncio.sleep(0)
    maker.may.set()
    assert await asyncio.gather(*asking) == [documents.Version(version="1")] * 50


async def test_each_question_has_its_own_document() -> None:
    maker = Maker()
    shared = SharedDocuments(FakeClock())
    assert await shared.get("a", 5, maker.make) != await shared.get("b", 5, maker.make)


async def test_an_error_is_not_kept() -> None:
    async def fail() -> Document:
        raise ZeroDivisionError

    shared = SharedDocuments(FakeClock())
    (error,) = await asyncio.gather(shared.get("a", 5, fail), return_exceptions=True)
    assert isinstance(error, ZeroDivisionError)
    assert await shared.get("a", 5, Maker().make) == documents.Version(version="1")


async def test_ever_new_questions_do_not_fill_the_memory() -> None:
    maker = Maker()
    shared = SharedDocuments(FakeClock())
    for number in range(MOST + 1):
        await shared.get(str(number), 5, maker.make)
    await shared.get(str(MOST), 5, maker.make)
    assert maker.made == MOST + 1
    await shared.get("0", 5, maker.make)
    assert maker.made == MOST + 2
