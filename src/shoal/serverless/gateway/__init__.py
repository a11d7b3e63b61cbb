"""The gateway: HTTP for people and their clients, in front of the store and the runner."""

from shoal.errors import MissingExtra

try:
    from shoal.serverless.gateway.admission import CannotServe
    from shoal.serverless.gateway.people import hashed
    from shoal.serverless.gateway.serving import serve
except ModuleNotFoundError as error:
    if error.name not in ("httptools", "python_multipart", "starlette", "uvicorn"):
        raise
    raise MissingExtra(
        f"the gateway needs {error.name}, which is not installed: pip install 'shoal[serve]'"
    ) from error

__all__ = ["CannotServe", "hashed", "serve"]
