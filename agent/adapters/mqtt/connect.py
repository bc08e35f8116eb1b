"""One attempt to connect: read the password, set up TLS, send CONNECT, and explain a failure in plain words."""

import asyncio
from typing import TypeVar

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.broker import NOT_AUTHORIZED, BrokerUnavailable, LoginRefused, Message, Options
from agent.adapters.mqtt import tls
from agent.adapters.mqtt.client import Client
from agent.adapters.mqtt.errors import HungUp, NotMqtt, NoWebSocket, TlsFailed, TooMuch

C = TypeVar("C", bound=Client)

_LOGIN_CODES = {134, NOT_AUTHORIZED, 138, 140}  # bad name or password, not authorized, banned, bad method
_VERSION_REFUSED = 132


class VersionInDoubt(BrokerUnavailable):
    """The broker may not speak this version of MQTT: it reports that, closed the connection, or does not answer."""


async def open_client(options: Options, will: Message | None, make: type[C]) -> C:
    """Return a connected client, which the caller closes. Raises LoginRefused, VersionInDoubt or BrokerUnavailable."""
    password = await asyncio.to_thread(read_password, options)
    context = await asyncio.to_thread(tls.make_context, options)
    client = make(options, password, context, will)
    try:
        await client.__aenter__()
    except aiomqtt.exceptions.MqttConnectError as error:
        client.close()
        raise _refusal(error, options) from None
    except (aiomqtt.MqttError, ValueError) as error:  # ValueError: an invalid host name
        client.close()
        raise _failure(error, client, options) from None
    except BaseException:
        client.close()
        raise
    return client


def _refusal(error: aiomqtt.exceptions.MqttConnectError, options: Options) -> BrokerUnavailable:
    """The error for a reason code with which the broker refused the connection."""
    code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
    if code == _VERSION_REFUSED:
        return VersionInDoubt(f"{options.name}: the broker does not speak MQTT {options.version}", "see mqtt.version")
    if code not in _LOGIN_CODES:
        return BrokerUnavailable(f"{options.name}: the broker refused the connection: {error}")
    who = f"user {options.username!r}" if options.username else "a client without a user name"
    hint = "check mqtt.username and mqtt.password_file, and the broker's users"
    if options.cert_file and not options.username:
        hint = "let the broker take the user from mqtt.cert_file (mosquitto: use_identity_as_username), or set a login"
    return LoginRefused(f"{options.name}: the broker refused {who}: {error}", hint)


def _failure(error: Exception, client: Client, options: Options) -> BrokerUnavailable:
    """The error for a broker that did not answer: the cause as far as known, and what to do."""
    cause = error.__context__
    detail, hint = f"{options.name}: {error}", "start the broker, or correct mqtt.url"
    if isinstance(error, TooMuch):
        return BrokerUnavailable(detail, "is mqtt.url right?")
    if isinstance(error, NotMqtt):
        detail, hint = _describe_answer(error.answer)
        return BrokerUnavailable(f"{options.name}: {detail}", hint)
    if isinstance(cause, TlsFailed):
        detail, hint = tls.describe_failure(cause.reason, options)
        return BrokerUnavailable(f"{options.name}: {detail}", hint)
    if isinstance(cause, NoWebSocket):
        detail = f"{options.name}: it does not accept MQTT over WebSockets there"
        return BrokerUnavailable(detail, "check the port and the path in mqtt.url; the path is often /mqtt")
    if not client.opened:
        return BrokerUnavailable(detail, hint)
    if found := tls.describe_alert(client.tls_alert, options):
        return BrokerUnavailable(f"{options.name}: {found[0]}", found[1])
    return _no_answer(error, options)


def _no_answer(error: Exception, options: Options) -> VersionInDoubt:
    """The error for a server that accepts the connection and then closes it or does not answer."""
    if options.tls and isinstance(error, HungUp):
        detail, hint = tls.describe_hang_up(options)
        return VersionInDoubt(f"{options.name}: {detail}", hint)
    problem = error if isinstance(error, HungUp) else "it accepts connections but does not answer"
    hint = "is it an MQTT broker?"
    if not options.tls:
        hint = f"is it an MQTT broker without TLS (with TLS, write {'wss' if options.path else 'mqtts'}://)?"
    return VersionInDoubt(f"{options.name}: {problem}", hint)


def _describe_answer(answer: bytes) -> tuple[str, str]:
    if answer[0] in (0x15, 0x16):  # TLS records: an alert, a handshake
        return "it answers in TLS", "write mqtts:// in mqtt.url"
    text = answer.decode("ascii", errors="replace").splitlines()[0]
    return f"it answers {text!r}, which is not MQTT", "is the port in mqtt.url the broker's?"


def read_password(options: Options) -> str | None:
    """The password, read at each connect so that a new one needs no restart; one trailing newline is removed."""
    if not options.password_file:
        return None
    content = tls.read("mqtt.password_file", options.password_file)
    try:
        text = content.decode()
    except ValueError:  # the message of this error would contain the secret
        detail = f"mqtt.password_file: {options.password_file}: is not UTF-8"
        raise LoginRefused(detail, "write only the password there") from None
    return text.removesuffix("\n").removesuffix("\r")
