"""The ways in which a connection fails before the broker has acknowledged it."""

import aiomqtt


class HungUp(aiomqtt.MqttError):
    """The connection ended before it was acknowledged."""

    def __init__(self) -> None:
        super().__init__("it closed the connection before it answered")


class TooMuch(aiomqtt.MqttError):
    """The server sent far more than an acknowledgement; the message says how much."""


class NotMqtt(aiomqtt.MqttError):
    """The server does not speak MQTT. `answer` is the beginning of what it sent, at least one byte."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("it does not answer in MQTT")
        self.answer = answer


class NoWebSocket(OSError):
    """The port is open, but the server does not accept a WebSocket at this path."""


class TlsFailed(OSError):
    """The port is open, but the TLS handshake failed."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason
