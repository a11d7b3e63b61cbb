"""A service whose jobs are forked of a template."""

import pytest

from tests.faults.watching import until


@pytest.fixture
def fast(service, runner_of):
    """Its template is ready, and has imported a module that few programs need."""
    made = service.with_settings(fast_start=True, job_imports=("colorsys", "numpy"))
    made.runner = runner_of(made)
    until(lambda: made.runner._launcher.template.is_ready, what="the template")
    return made
