"""The tables. Times are milliseconds since 1970 in UTC, sizes are bytes, lists are JSON texts.

Other programs read this database, too: a column keeps its meaning, and a change of a table is a migration.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite gives only INTEGER PRIMARY KEY columns a number of their own
Id = BigInteger().with_variant(Integer, "sqlite")


def _host() -> Column[int]:
    return Column("host_id", Id, ForeignKey("hosts.id"), nullable=False)


def _event_columns() -> tuple[Column[int], ...]:
    """Of a table that has one row for each event of one type."""
    return (
        Column("stream_id", Id, ForeignKey("streams.id"), primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        _host(),
        Column("at", BigInteger, nullable=False),
    )


hosts = Table(
    "hosts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("agent_id", Text),
    Column("version", Text),
    Column("mode", Text),
    Column("engine", Text),  # JSON object
    Column("state", Text, nullable=False, server_default="unknown"),  # online, offline, unknown; stale is computed
    Column("state_since", BigInteger),
    Column("started", BigInteger),  # when its agent started
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger),
    Column("policy_digest", Text, ForeignKey("policies.digest")),
    Column("inventory_digest", LargeBinary),  # of the payload: an inventory that did not change is not decoded
    Column("inventory_at", BigInteger),
    Column("images", Integer),
    Column("images_left_out", Integer),
    Column("disk_used", BigInteger),
    Column("disk_total", BigInteger),
    Column("images_bytes", BigInteger),
    Column("reclaimable", BigInteger),
    Column("next_eviction", BigInteger),  # the earliest deadline of an image that is not held
    Column("forgotten_at", BigInteger),  # when its last topic was cleared
)

policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("document", Text, nullable=False),  # JSON object, as in `info`
    Column("ttl", BigInteger),  # its policy.ttl in milliseconds
)

streams = Table(
    "streams",
    metadata,
    Column("id", Id, primary_key=True),
    _host(),
    Column("epoch", Text, nullable=False),
    Column("contiguous", BigInteger, nullable=False, server_default="0"),  # the watermark
    Column("highest", BigInteger, nullable=False, server_default="0"),  # the highest number that has arrived
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    UniqueConstraint("host_id", "epoch"),
)

missing = Table(
    "missing",  # numbers above the watermark that have not arrived, while later ones have
    metadata,
    Column("stream_id", Id, ForeignKey("streams.id"), primary_key=True),
    Column("lo", BigInteger, primary_key=True),
    Column("hi", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),  # the image ID, with sha256:
    Column("torch_version", Text),
    Column("accelerator", Text),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Column("origin", Text),  # the digest reference to pull it by
    Column("first_seen", BigInteger, nullable=False),
)

host_images = Table(
    "host_images",  # the present images of each host
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id"), primary_key=True),
    Column("image_id", Id, ForeignKey("images.id"), primary_key=True),
    Column("names", Text, nullable=False),  # JSON array of references
    Column("class", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("held_by", Text),
    Column("explanation", Text, nullable=False),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("last_used", BigInteger),
    Column("last_used_by", Text, nullable=False, server_default=""),
    Column("idle_since", BigInteger),
    Column("deadline", BigInteger),
    Column("size", BigInteger, nullable=False),
    Column("estimated", BigInteger, nullable=False),
    Column("warnings", Text, nullable=False, server_default="[]"),  # JSON array
    Column("row_digest", LargeBinary, nullable=False),  # of the image in the inventory
    # With all columns that the sums over the fleet need, so that they read the index alone. The one by host begins with
    # the host, as an inventory then changes pages that are next to each other.
    Index("ix_host_images_by_image", "image_id", "reason", "last_used", "estimated", "host_id"),
    Index("ix_host_images_by_host", "host_id", "reason", "idle_since", "deadline", "estimated"),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions",  # `id` is the order of arrival
    metadata,
    Column("id", Id, primary_key=True),
    Column("stream_id", Id, ForeignKey("streams.id")),  # of the decision; None while only its outcome has arrived
    Column("seq", BigInteger),
    _host(),
    Column("decision_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("image_id", Id, ForeignKey("images.id"), nullable=False),
    Column("names", Text, nullable=False),  # JSON array of references
    Column("action", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("mode", Text, nullable=False, server_default=""),
    Column("held_by", Text),
    Column("explanation", Text, nullable=False, server_default=""),
    Column("last_used", BigInteger),
    Column("last_used_by", Text, nullable=False, server_default=""),
    Column("idle_since", BigInteger),
    Column("idle_seconds", Float),
    Column("ttl_seconds", Float),
    Column("estimated", BigInteger, nullable=False, server_default="0"),
    Column("evidence", Text, nullable=False, server_default="[]"),  # JSON array
    Column("outcome", Text),
    Column("outcome_at", BigInteger),
    Column("measured", BigInteger),
    Column("error", Text),
    Column("also_removed", Text, nullable=False, server_default="[]"),  # JSON array
    Column("regret_at", BigInteger),  # when the image came back before its TTL would have passed
    UniqueConstraint("stream_id", "seq"),
    UniqueConstraint("host_id", "decision_id"),
    Index(None, "at", "id"),
    Index(None, "host_id", "at"),
    Index(None, "image_id", "at"),
    Index(None, "outcome", "at"),
    Index(None, "host_id", "image_id"),
)

sweeps = Table(
    "sweeps",
    metadata,
    *_event_columns(),
    Column("mode", Text, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON object: number of images by reason
    Column("outcomes", Text, nullable=False),  # JSON object
    Column("estimated", BigInteger, nullable=False),
    Column("measured", BigInteger),
    Index(None, "host_id", "at"),
    Index(None, "at", "stream_id", "seq"),
)

gaps = Table(
    "gaps",  # time in which uses may have gone unseen
    metadata,
    *_event_columns(),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("cause", Text, nullable=False),
    Index(None, "host_id", "at"),
    Index(None, "at", "stream_id", "seq"),
)

build_cache = Table(
    "build_cache",
    metadata,
    *_event_columns(),
    Column("mode", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("unused_seconds", Float, nullable=False),
    Column("records", Integer, nullable=False),
    Column("estimated", BigInteger, nullable=False),
    Column("measured", BigInteger),
    Column("error", Text),
    Index(None, "host_id", "at"),
    Index(None, "at", "stream_id", "seq"),
)

dropped = Table(
    "dropped",  # events that a host will never send
    metadata,
    *_event_columns(),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "host_id", "at"),
    Index(None, "at", "stream_id", "seq"),
)

freed_days = Table(
    "freed_days",
    metadata,
    Column("day", BigInteger, primary_key=True),  # its midnight in UTC
    Column("host_id", Id, ForeignKey("hosts.id"), primary_key=True),
    Column("reason", Text, primary_key=True),  # of the decisions; `build-cache` for build cache
    Column("evicted", Integer, nullable=False, server_default="0"),
    Column("would", Integer, nullable=False, server_default="0"),  # evictions that observe mode only reported
    Column("estimated", BigInteger, nullable=False, server_default="0"),  # of evictions without measured bytes
    Column("measured", BigInteger, nullable=False, server_default="0"),
    Column("regrets", Integer, nullable=False, server_default="0"),
)

disk_hours = Table(
    "disk_hours",
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id"), primary_key=True),
    Column("hour", BigInteger, primary_key=True),  # its begin
    Column("used_last", BigInteger),
    Column("used_max", BigInteger),
    Column("total", BigInteger),
    Column("reclaimable", BigInteger),
    sqlite_with_rowid=False,
)

disk_days = Table(
    "disk_days",
    metadata,
    Column("host_id", Id, ForeignKey("hosts.id"), primary_key=True),
    Column("day", BigInteger, primary_key=True),
    Column("used_last", BigInteger),
    Column("used_max", BigInteger),
    Column("total", BigInteger),
    Column("reclaimable", BigInteger),
    sqlite_with_rowid=False,
)

idle_spells = Table(
    "idle_spells",  # how long images were idle before they were used again
    metadata,
    Column("day", BigInteger, primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True),  # hours, the power of 2 at or below the length of the spell
    Column("n", Integer, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    _host(),
    Column("alert_id", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),  # None: standing
    Index(None, "until"),
    Index(None, "host_id", "since"),
    Index("uq_alerts_standing", "host_id", "alert_id", unique=True,
          sqlite_where=text("until IS NULL"), postgresql_where=text("until IS NULL")),
)  # fmt: skip

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
