"""Run by Alembic; `luml migrate` hands the open connection over."""

from alembic import context

from luml_app.core.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
