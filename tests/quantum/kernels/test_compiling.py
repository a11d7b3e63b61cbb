import numpy as np

from shoal.quantum.kernels.compiling import compiled, inlined


@compiled
def ratio(one, other):
    return one / other


@inlined
def half(value):
    return value / 2


@compiled
def quarter(value):
    return half(half(value))


def test_inlined_functions_are_called_by_compiled_ones():
    assert quarter(3.0) == 0.75


def test_division_by_zero_is_infinite():
    assert ratio(1.0, 0.0) == np.inf


def test_code_that_cannot_be_kept_on_disk_is_compiled_all_the_same():
    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)
    assert compiled(namespace["double"])(3) == 6
