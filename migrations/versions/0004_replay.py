"""When a rejected item was last taken up again.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = ("ALTER TABLE usp.rejection ADD COLUMN replayed_at TIMESTAMP WITH TIME ZONE",)

DOWNGRADE = ("ALTER TABLE usp.rejection DROP COLUMN replayed_at",)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in UPGRADE:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in DOWNGRADE:
        connection.exec_driver_sql(statement)
