"""How a connection fails before the broker acknowledged it."""

import aiomqtt


class HungUp(aiomqtt.MqttError):
    """The connection ended before it was acknowledged."""

    def __init__(self) -> None:
        super().__init__("it hung up before it answered")


class TooMuch(aiomqtt.MqttError):
    """What answers sent far more than an acknowledgement; the message says how much."""


class NotMqtt(aiomqtt.MqttError):
    """What answers is something else than MQTT. `heard` is how it begins, at least one byte."""

    def __init__(self, heard: bytes) -> None:
        super().__init__("it does not answer in MQTT")
        self.heard = heard


class TlsFailed(OSError):
    """The port is open, and no TLS connection came about."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason
