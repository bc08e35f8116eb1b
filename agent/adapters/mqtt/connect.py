"""One attempt to connect: read the password, set up TLS, send CONNECT, and explain a failure in plain words."""

import asyncio
import ssl
from pathlib import Path
from typing import TypeVar

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.broker import NOT_AUTHORIZED, BrokerUnavailable, LoginRefused, Message, Options
from agent.adapters.mqtt.client import Client
from agent.adapters.mqtt.errors import HungUp, NotMqtt, TlsFailed, TooMuch

C = TypeVar("C", bound=Client)

_LOGIN_CODES = {134, NOT_AUTHORIZED, 138, 140}  # bad name or password, not authorized, banned, bad method
_VERSION_REFUSED = 132


class VersionInDoubt(BrokerUnavailable):
    """The broker may not speak this version of MQTT: it reports that, closed the connection, or does not answer."""


async def open_client(options: Options, will: Message | None, make: type[C]) -> C:
    """Return a connected client, which the caller closes. Raises LoginRefused, VersionInDoubt or BrokerUnavailable."""
    password = await asyncio.to_thread(_read_password, options)
    context = await asyncio.to_thread(_tls_context, options)
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
        return VersionInDoubt(f"{options.name}: the broker does not speak MQTT {options.version}; see mqtt.version")
    if code not in _LOGIN_CODES:
        return BrokerUnavailable(f"{options.name}: the broker refused the connection: {error}")
    who = f"user {options.username!r}" if options.username else "a client without a user name"
    return LoginRefused(
        f"{options.name}: the broker refused {who}: {error}; check mqtt.username and mqtt.password_file"
    )


def _failure(error: Exception, client: Client, options: Options) -> BrokerUnavailable:
    """The error for a broker that did not answer: the cause as far as known, and what to check."""
    cause = error.__context__
    if isinstance(error, TooMuch):
        return BrokerUnavailable(f"{options.name}: {error}; is mqtt.url right?")
    if isinstance(error, NotMqtt):
        return BrokerUnavailable(f"{options.name}: {_describe_answer(error.answer)}")
    if isinstance(cause, TlsFailed):
        return BrokerUnavailable(f"{options.name}: {_describe_tls_failure(cause.reason, options)}")
    if not client.opened:
        return BrokerUnavailable(f"{options.name}: {error}; is it running, and is mqtt.url right?")
    problem = error if isinstance(error, HungUp) else "it accepts connections but does not answer"
    if options.tls:
        return VersionInDoubt(f"{options.name}: {problem}; is it an MQTT broker, and does it require mqtt.cert_file?")
    return VersionInDoubt(f"{options.name}: {problem}; is it an MQTT broker without TLS (with TLS, write mqtts://)?")


def _describe_answer(answer: bytes) -> str:
    if answer[0] in (0x15, 0x16):  # TLS records: an alert, a handshake
        return "it answers in TLS; write mqtts:// in mqtt.url"
    text = answer.decode("ascii", errors="replace").splitlines()[0]
    return f"it answers {text!r}, which is not MQTT; is the port in mqtt.url the broker's?"


def _describe_tls_failure(reason: OSError, options: Options) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        if "mismatch" in reason.verify_message:
            return f"{reason.verify_message} Write the name in its certificate in mqtt.url"
        own = f"mqtt.ca_file, {options.ca_file}"
        against = own if options.ca_file else "this system's authorities; for one of your own set mqtt.ca_file"
        return f"certificate verify failed: {reason.verify_message}; it is checked against {against}"
    code = getattr(reason, "reason", None)  # OpenSSL's, like WRONG_VERSION_NUMBER
    why = code.lower().replace("_", " ") if code else reason.strerror or reason
    return f"TLS failed: {why}; is it a port with TLS? Without it, write mqtt:// in mqtt.url"


def _read_password(options: Options) -> str | None:
    """The password, read at each connect so that a new one needs no restart; one trailing newline is removed."""
    if not options.password_file:
        return None
    try:
        text = Path(options.password_file).read_bytes().decode()
    except (OSError, ValueError) as error:  # the message of a decoding error would contain the secret
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise LoginRefused(f"mqtt.password_file: {options.password_file}: {reason}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _tls_context(options: Options) -> ssl.SSLContext | None:
    if not options.tls:
        return None
    key = f"mqtt.ca_file: {options.ca_file}"
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        key = f"mqtt.cert_file, mqtt.key_file: {options.cert_file}, {options.key_file}"
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise LoginRefused(f"{key}: cannot be used: {getattr(error, 'strerror', None) or error}") from None
    return context


def _no_passphrase() -> str:
    """Called if the key is encrypted; without this, OpenSSL would ask for the passphrase on the terminal."""
    raise ValueError("the key is encrypted; store it without a passphrase")
