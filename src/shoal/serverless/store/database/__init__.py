"""The database under the store: tables, triggers, versions, and the one thread that writes."""

from shoal.serverless.store.database import schema
from shoal.serverless.store.database.opening import file_system, prepare, reader, writer
from shoal.serverless.store.database.writing import Writer, translated

__all__ = ["Writer", "file_system", "prepare", "reader", "schema", "translated", "writer"]
