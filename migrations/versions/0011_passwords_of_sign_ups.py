"""Mails that confirm an address carry no password: one that was signed up with twice chooses it when it is confirmed"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

_SIGNED_UP_AGAIN = """
UPDATE users SET password_hash = NULL
WHERE email_confirmed_at IS NULL AND EXISTS (
    SELECT 1 FROM account_tokens
    WHERE user_id = users.id AND kind = 'confirm' AND account_tokens.password_hash <> users.password_hash
)
"""


def upgrade() -> None:
    op.execute(_SIGNED_UP_AGAIN)
    op.drop_column("account_tokens", "password_hash")


def downgrade() -> None:
    op.add_column("account_tokens", sa.Column("password_hash", sa.Text(), nullable=True))
