"""What Alembic runs to upgrade a database: on the connection, and in the transaction, of ours."""

from alembic import context

if not __name__.startswith("shoal."):  # it is run by its path; imported, it does nothing
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()
