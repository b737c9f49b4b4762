"""When a rejected item was last taken up again, the room that it leaves, and views of rejections for operators.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = (
    "ALTER TABLE usp.rejection ADD COLUMN replayed_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE usp.rejection_tally ADD COLUMN freed BIGINT DEFAULT 0 NOT NULL",
    "CREATE VIEW ops.rejection AS SELECT r.id, r.received_at, r.door, r.topic, r.address, d.name AS device, r.dataset, r.field, r.reason, r.detail, r.whole_item, r.payload, r.payload_length, r.payload_sha256, r.replayed_at, r.resolved_at FROM usp.rejection r LEFT JOIN usp.device d ON d.id = r.device",
    "CREATE VIEW ops.rejection_tally AS SELECT door, address, reason, kept, total, first_at, last_at FROM usp.rejection_tally",
    "GRANT SELECT ON ops.rejection, ops.rejection_tally TO usp_ops",
)

DOWNGRADE = (
    "DROP VIEW ops.rejection_tally",
    "DROP VIEW ops.rejection",
    "ALTER TABLE usp.rejection_tally DROP COLUMN freed",
    "ALTER TABLE usp.rejection DROP COLUMN replayed_at",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in UPGRADE:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in DOWNGRADE:
        connection.exec_driver_sql(statement)
