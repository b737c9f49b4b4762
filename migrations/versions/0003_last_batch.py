"""The last batch of each ingest worker, so that a commit whose answer was lost is not repeated.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE usp.batch (
        slot SMALLINT NOT NULL,
        token BIGINT NOT NULL,
        CONSTRAINT batch_pkey PRIMARY KEY (slot)
    ) WITH (fillfactor = 50)
    """,
    "GRANT SELECT, INSERT, UPDATE, DELETE ON usp.batch TO usp_writer",
)

DOWNGRADE = ("DROP TABLE usp.batch",)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in UPGRADE:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in DOWNGRADE:
        connection.exec_driver_sql(statement)
