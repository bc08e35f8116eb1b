"""The alerts that an agent raises: the last level of their topics. Other programs rely on these IDs."""

from enum import StrEnum


class AlertId(StrEnum):
    """Every alert of this agent. At its start it clears those that an earlier run left on the broker."""

    # tracking: the engine and its event stream
    ENGINE_DOWN = "engine-down"
    ENGINE_OBSERVE_ONLY = "engine-observe-only"

    # the state folder
    STATE_COPIED = "state-copied"
    STATE_DAMAGED = "state-damaged"
    STATE_FULL = "state-full"

    # configuration and overrides
    CONFIG_REFUSED = "config-refused"
    HOLDS_UNREADABLE = "holds-unreadable"
    PATTERN_MATCHES_NOTHING = "pattern-matches-nothing"
    PINS_ELSEWHERE = "pins-elsewhere"
    POLICY_CHANGE = "policy-change"
    RESTART_NEEDED = "restart-needed"

    # health and metrics over HTTP
    HTTP_UNAVAILABLE = "http-unavailable"

    # eviction: sweeps, images and the disk
    DISK_FULL_NOTHING_EVICTABLE = "disk-full-nothing-evictable"
    IMAGE_UNREADABLE = "image-unreadable"
    PRESSURE_UNSEEN = "pressure-unseen"
    REMOVED_ANOTHER_IMAGE = "removed-another-image"
    SWEEP_FAILED = "sweep-failed"

    # reporting: the broker and the collector
    ACKS_DENIED = "acks-denied"
    BROKER_FLOOD = "broker-flood"
    CERTIFICATE_EXPIRES = "certificate-expires"
    CREDENTIALS_EXPOSED = "credentials-exposed"
    CREDENTIALS_UNUSABLE = "credentials-unusable"
    EVENTS_DENIED = "events-denied"
    INVENTORY_NOT_TAKEN = "inventory-not-taken"
    OUTBOX_BEHIND = "outbox-behind"
    OUTBOX_FULL = "outbox-full"
    OUTBOX_POISON = "outbox-poison"
    TWO_AGENTS = "two-agents"
    UNCONFIRMED = "unconfirmed"
