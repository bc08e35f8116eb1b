"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "idle_spells",
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "repository", "bucket", name="pk_idle_spells"),
    )
    op.create_table(
        "images",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("torch_version", sa.Text(), nullable=True),
        sa.Column("accelerator", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.UniqueConstraint("digest", name="uq_images_digest"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )
    op.create_table(
        "policies",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("ttl", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )
    op.create_table(
        "hosts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=True),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.Column("policy_digest", sa.Text(), nullable=True),
        sa.Column("inventory_digest", sa.LargeBinary(), nullable=True),
        sa.Column("inventory_at", sa.BigInteger(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=True),
        sa.Column("images_left_out", sa.Integer(), nullable=True),
        sa.Column("disk_used", sa.BigInteger(), nullable=True),
        sa.Column("disk_total", sa.BigInteger(), nullable=True),
        sa.Column("images_bytes", sa.BigInteger(), nullable=True),
        sa.Column("reclaimable", sa.BigInteger(), nullable=True),
        sa.Column("next_eviction", sa.BigInteger(), nullable=True),
        sa.Column("forgotten_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["policy_digest"], ["policies.digest"], name="fk_hosts_policy_digest"),
        sa.PrimaryKeyConstraint("id", name="pk_hosts"),
        sa.UniqueConstraint("name", name="uq_hosts_name"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_alerts_host_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_host_id_since", "alerts", ["host_id", "since"], unique=False)
    op.create_index("ix_alerts_until", "alerts", ["until"], unique=False)
    op.create_index(
        "uq_alerts_standing",
        "alerts",
        ["host_id", "alert_id"],
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_table(
        "disk_days",
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("used_last", sa.BigInteger(), nullable=True),
        sa.Column("used_max", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("reclaimable", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_disk_days_host_id"),
        sa.PrimaryKeyConstraint("host_id", "day", name="pk_disk_days"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "disk_hours",
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("used_last", sa.BigInteger(), nullable=True),
        sa.Column("used_max", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("reclaimable", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_disk_hours_host_id"),
        sa.PrimaryKeyConstraint("host_id", "hour", name="pk_disk_hours"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "freed_days",
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evicted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("would", sa.Integer(), server_default="0", nullable=False),
        sa.Column("estimated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("measured", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("regrets", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_freed_days_host_id"),
        sa.PrimaryKeyConstraint("day", "host_id", "reason", name="pk_freed_days"),
    )
    op.create_table(
        "host_images",
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("image_id", _ID, nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("running", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.Column("last_used_by", sa.Text(), server_default="", nullable=False),
        sa.Column("idle_since", sa.BigInteger(), nullable=True),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.Text(), server_default="[]", nullable=False),
        sa.Column("row_digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_host_images_host_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_host_images_image_id"),
        sa.PrimaryKeyConstraint("host_id", "image_id", name="pk_host_images"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_host_images_by_host",
        "host_images",
        ["host_id", "reason", "idle_since", "deadline", "estimated"],
        unique=False,
    )
    op.create_index(
        "ix_host_images_by_image",
        "host_images",
        ["image_id", "reason", "last_used", "estimated", "host_id"],
        unique=False,
    )
    op.create_table(
        "streams",
        sa.Column("id", _ID, nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("contiguous", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("highest", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_streams_host_id"),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
        sa.UniqueConstraint("host_id", "epoch", name="uq_streams_host_id_epoch"),
    )
    op.create_table(
        "build_cache",
        sa.Column("stream_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("unused_seconds", sa.Float(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("measured", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_build_cache_host_id"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_build_cache_stream_id"),
        sa.PrimaryKeyConstraint("stream_id", "seq", name="pk_build_cache"),
    )
    op.create_index("ix_build_cache_at_stream_id_seq", "build_cache", ["at", "stream_id", "seq"], unique=False)
    op.create_index("ix_build_cache_host_id_at", "build_cache", ["host_id", "at"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stream_id", _ID, nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("image_id", _ID, nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("mode", sa.Text(), server_default="", nullable=False),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), server_default="", nullable=False),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.Column("last_used_by", sa.Text(), server_default="", nullable=False),
        sa.Column("idle_since", sa.BigInteger(), nullable=True),
        sa.Column("idle_seconds", sa.Float(), nullable=True),
        sa.Column("ttl_seconds", sa.Float(), nullable=True),
        sa.Column("estimated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="[]", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_at", sa.BigInteger(), nullable=True),
        sa.Column("measured", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("also_removed", sa.Text(), server_default="[]", nullable=False),
        sa.Column("regret_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_decisions_host_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_decisions_image_id"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_decisions_stream_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.UniqueConstraint("host_id", "decision_id", name="uq_decisions_host_id_decision_id"),
        sa.UniqueConstraint("stream_id", "seq", name="uq_decisions_stream_id_seq"),
    )
    op.create_index("ix_decisions_at_id", "decisions", ["at", "id"], unique=False)
    op.create_index("ix_decisions_host_id_at", "decisions", ["host_id", "at"], unique=False)
    op.create_index("ix_decisions_host_id_image_id", "decisions", ["host_id", "image_id"], unique=False)
    op.create_index("ix_decisions_image_id_at", "decisions", ["image_id", "at"], unique=False)
    op.create_index("ix_decisions_outcome_at", "decisions", ["outcome", "at"], unique=False)
    op.create_table(
        "dropped",
        sa.Column("stream_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_dropped_host_id"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_dropped_stream_id"),
        sa.PrimaryKeyConstraint("stream_id", "seq", name="pk_dropped"),
    )
    op.create_index("ix_dropped_at_stream_id_seq", "dropped", ["at", "stream_id", "seq"], unique=False)
    op.create_index("ix_dropped_host_id_at", "dropped", ["host_id", "at"], unique=False)
    op.create_table(
        "gaps",
        sa.Column("stream_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_gaps_host_id"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_gaps_stream_id"),
        sa.PrimaryKeyConstraint("stream_id", "seq", name="pk_gaps"),
    )
    op.create_index("ix_gaps_at_stream_id_seq", "gaps", ["at", "stream_id", "seq"], unique=False)
    op.create_index("ix_gaps_host_id_at", "gaps", ["host_id", "at"], unique=False)
    op.create_table(
        "missing",
        sa.Column("stream_id", _ID, nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_missing_stream_id"),
        sa.PrimaryKeyConstraint("stream_id", "lo", name="pk_missing"),
    )
    op.create_table(
        "sweeps",
        sa.Column("stream_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("host_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("outcomes", sa.Text(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("measured", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_sweeps_host_id"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_sweeps_stream_id"),
        sa.PrimaryKeyConstraint("stream_id", "seq", name="pk_sweeps"),
    )
    op.create_index("ix_sweeps_at_stream_id_seq", "sweeps", ["at", "stream_id", "seq"], unique=False)
    op.create_index("ix_sweeps_host_id_at", "sweeps", ["host_id", "at"], unique=False)
