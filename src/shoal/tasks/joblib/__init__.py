"""joblib's door to our executors: the registration, which alone needs no joblib to be imported."""

from __future__ import annotations

from importlib import import_module

from shoal.errors import MissingExtra

BACKEND = "shoal"


def register_joblib() -> None:
    """Makes ``"shoal"`` a backend of joblib, and so of scikit-learn and all else that uses it.

    After this call, ``backend="shoal"`` in `joblib.parallel_config` and `joblib.Parallel` runs
    their tasks on shoal's executors; ``executor=`` beside it says on which, as for `shoal.map`.
    It may be called again.

    Raises:
        MissingExtra: If joblib is not installed.

    Example:
        >>> import joblib, shoal
        >>> shoal.register_joblib()
        >>> with joblib.parallel_config(backend="shoal", n_jobs=2):
        ...     joblib.Parallel()(joblib.delayed(pow)(x, 2) for x in range(4))
        [0, 1, 4, 9]
    """
    try:
        import_module("shoal.tasks.joblib.backend")  # it registers itself, in workers too
    except ModuleNotFoundError as error:
        if error.name != "joblib":
            raise
        raise MissingExtra(
            "register_joblib needs joblib, which is not installed: pip install joblib"
        ) from error
