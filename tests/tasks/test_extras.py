"""Optional dependencies: there, or named in the error with what to install."""

import pytest

from shoal import errors
from shoal.tasks.extras import require


def test_a_missing_extra_keeps_the_reason_as_its_cause():
    with pytest.raises(errors.MissingExtra, match="for this needs no_such_module") as caught:
        require("no_such_module", extra="none", purpose="for this")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_an_installed_module_is_given_back():
    assert require("json", extra="none", purpose="this").loads("1") == 1
