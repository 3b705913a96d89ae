"""Runs the migrations on the connection that the ledger hands over."""

from alembic import context

from steward.storage.database.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    # All steps in one: Alembic reads where the store stands once, and another process must not move it meanwhile.
    transaction_per_migration=False,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
