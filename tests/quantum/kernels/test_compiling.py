import numpy as np

from shoal.quantum.kernels.compiling import compiled


@compiled
def ratio(one, other):
    return one / other


def test_division_by_zero_is_infinite():
    assert ratio(1.0, 0.0) == np.inf


def test_code_that_cannot_be_kept_on_disk_is_compiled_all_the_same():
    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)
    assert compiled(namespace["double"])(3) == 6
