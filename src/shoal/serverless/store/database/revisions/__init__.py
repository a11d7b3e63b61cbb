"""Where Alembic looks: `env.py`, which it runs, and the versions of the database."""
