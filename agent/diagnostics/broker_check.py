"""The broker checks: whether each address can be used, and whether a message arrives on the topic it was published on.

A host may read one of its own topics, `status`, so this publishes there and waits for the message to come back. It
sends a copy of the retained status, itself not retained, which changes nothing for any reader. If no status is
retained, it sends `offline` for a session that never existed, which a running agent answers with `online`.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from agent.adapters.broker import Connection, Message
from agent.adapters.mqtt import broker
from agent.adapters.mqtt.credentials import CredentialFiles
from agent.config import sections
from agent.core import units
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics, slug
from agent.daemon.credentials import certificate_expires
from agent.reporting import refusals

PATIENCE = 30.0  # seconds for one address
ANSWER = 4.0  # seconds for any one answer
RETAINED = 1.0  # seconds to wait for a retained message
ECHO = 3.0  # seconds to wait for a message to come back


class Finding(NamedTuple):
    """The finding at one address. `hint` says what to do; "" if nothing has to be done."""

    ok: bool
    detail: str
    hint: str = ""


async def run(mqtt: sections.Mqtt, host: str) -> list[Finding]:
    """One finding for each address, in the order of the configuration. Raises ConfigError."""
    every = broker.all_options(mqtt, broker.check_client_id(host))
    return [await _find(mqtt, replace(options, answer_timeout=ANSWER), host) for options in every]


async def _find(mqtt: sections.Mqtt, options: broker.Options, host: str) -> Finding:
    topics = Topics(mqtt.prefix, host)
    try:
        async with asyncio.timeout(PATIENCE), broker.connect(options) as connection:
            # Whether this user may write: this clears an alert that does not exist.
            await connection.publish(topics.alert("check"), b"", retain=True)
            found = _judge(mqtt, host, connection.peer, topics.status, await _heard_back(connection, topics.status))
            soon = certificate_expires("the broker's certificate", connection.certificate_expires, datetime.now(UTC))
            return found._replace(hint=_join(soon, found.hint))
    except broker.LoginRefused as error:
        return Finding(False, error.detail, error.hint)
    except (broker.PublishRefused, broker.SubscribeRefused) as error:
        return Finding(False, f"{options.name}: {error}", _rights(mqtt, host))
    except broker.BrokerUnavailable as error:
        return Finding(False, error.detail, _join(error.hint, _dots(mqtt, host)))
    except TimeoutError:
        return Finding(False, f"{options.name}: no answer in time", _join("is it an MQTT broker?", _dots(mqtt, host)))


def check_files(mqtt: sections.Mqtt, now: datetime) -> list[tuple[str, Finding]]:
    """Findings about the files of certificates and the password, each with its name; none where none is set."""
    files = CredentialFiles(broker.all_options(mqtt, "check"))
    found = []
    if mqtt.cert_file and (at := files.own_certificate_expires()) is not None:
        soon = certificate_expires(files.own_certificate, at, now)
        detail = soon or f"{files.own_certificate} expires on {units.format_time(at)}"
        hint = "issue a new certificate and replace mqtt.cert_file and mqtt.key_file" if soon else ""
        found.append(("certificate", Finding(at > now, detail, hint)))
    exposed = ((item.detail, item.hint) for item in files.exposures())
    return [*found, *(("credentials", Finding(True, detail, hint)) for detail, hint in exposed)]


def _judge(mqtt: sections.Mqtt, host: str, peer: str, topic: str, heard_on: str | None) -> Finding:
    if heard_on == topic:
        return Finding(True, f"{peer}: connected, and what is published on {topic} comes back", _dots(mqtt, host))
    if heard_on is None:
        detail = f"{peer}: connected, but what is published on {topic} does not come back, nor to a collector"
        return Finding(False, detail, _join(_rights(mqtt, host), _dots(mqtt, host)))
    hint = _dots(mqtt, host) or "the broker rewrites topics: let it pass these on as they are"
    return Finding(False, f"{peer}: what is published on {topic} arrives on {heard_on}", hint)


async def _heard_back(connection: Connection, topic: str) -> str | None:
    """The topic on which a message that is published on this one comes back; None where none does."""
    await connection.subscribe(topic)
    standing = await _next(connection, lambda message: message.retain, RETAINED)
    payload = standing.payload if standing is not None else b""
    if payloads.decode(payloads.Status, payload) is None:
        nobody = payloads.Status(state="offline", session=secrets.randbits(40), at=datetime.now(UTC))
        payload = nobody.encode()
    await connection.publish(topic, payload)
    back = await _next(connection, lambda message: not message.retain and message.payload == payload, ECHO)
    return back.topic if back is not None else None


async def _next(connection: Connection, wanted: Callable[[Message], bool], seconds: float) -> Message | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in connection.messages():
                if wanted(message):
                    return message
    return None


def _rights(mqtt: sections.Mqtt, host: str) -> str:
    return refusals.rights(Topics(mqtt.prefix, host), mqtt.username)


def _dots(mqtt: sections.Mqtt, host: str) -> str:
    """The way out where a name has a dot; "" where none has."""
    keys = {"agent.host": (host, slug(host)), "mqtt.prefix": (mqtt.prefix, mqtt.prefix.replace(".", "-"))}
    better = [f'{key} = "{instead}"' for key, (name, instead) in keys.items() if "." in name]
    if not better:
        return ""
    return f"NATS and RabbitMQ take a dot for another level of the topic; set {' and '.join(better)}"


def _join(*hints: str) -> str:
    return "; ".join(filter(None, hints))
