"""Which address of the broker to try next, and with which version of MQTT."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from agent.adapters.broker import BrokerUnavailable, LoginRefused, Message, Options
from agent.adapters.mqtt.client import Client
from agent.adapters.mqtt.connect import VersionInDoubt, open_client

C = TypeVar("C", bound=Client)


class Addresses(Generic[C]):
    """The addresses of one broker, or of the nodes of one cluster, in the order in which they are tried.

    `make`: the class of the clients.
    """

    def __init__(self, several: Iterable[Options], make: type[C]) -> None:
        self._addresses = deque(_Address(options, make) for options in several)

    async def open(self, will: Message | None) -> C:
        """Connect to the next address that works, the present one first. Raises LoginRefused or BrokerUnavailable."""
        failures: list[BrokerUnavailable] = []
        for _ in range(len(self._addresses)):
            try:
                return await self._addresses[0].open(will)
            except BrokerUnavailable as error:
                failures.append(error)
                self.go_on()
        kind = LoginRefused if isinstance(failures[-1], LoginRefused) else BrokerUnavailable
        hints = sorted({failure.hint for failure in failures} - {""})
        raise kind("; ".join(failure.detail for failure in failures), "; ".join(hints))

    def go_on(self) -> None:
        """Move to the next address after a failure to connect or the loss of a connection."""
        self._addresses.rotate(-1)


class _Address(Generic[C]):
    """One address. With the version `auto`, MQTT 5 is tried first, and 3.1.1 if the broker may not speak 5.

    A broker without MQTT 5 may refuse, close the connection or not answer, and so may a broken one. So 3.1.1 is kept
    once it has worked, and 5 is tried again as soon as connecting with 3.1.1 fails.
    """

    def __init__(self, options: Options, make: type[C]) -> None:
        self._options = options
        self._make = make
        self._is_older = False  # whether 3.1.1 worked last and 5 did not

    async def open(self, will: Message | None) -> C:
        if self._options.version != "auto":
            return await open_client(self._options, will, self._make)
        if not self._is_older:
            with suppress(VersionInDoubt):
                return await open_client(replace(self._options, version="5"), will, self._make)
        self._is_older = False
        client = await open_client(replace(self._options, version="3.1.1"), will, self._make)
        self._is_older = True
        return client
