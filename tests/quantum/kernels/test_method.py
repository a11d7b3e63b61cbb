import inspect

import numpy as np
import pytest

from shoal.quantum import MPS, Densities, Products, Projected, StateVectors
from shoal.quantum.kernels.method import Method, Plan
from tests.quantum.kernels.tables import asked, table_of

TABLE = table_of(2, [("rx", [0]), ("ry", [1])])
KRAUS = [np.eye(2)]
METHODS = [StateVectors(), Products(), MPS(), Densities(), Projected()]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_and_its_plan_have_what_the_protocol_asks_for(method):
    question = asked(TABLE, noise=KRAUS if method.name == "densities" else None)
    assert method.why_not(question) is None
    assert method.seconds(question) > 0
    for protocol, made in ((Method, method), (Plan, method.plan(question))):
        for name, member in vars(protocol).items():
            if name.startswith("_"):
                continue
            found = getattr(made, name)
            if inspect.isfunction(member):
                wanted = [*inspect.signature(member).parameters][1:]
                assert [*inspect.signature(found).parameters] == wanted, name
