"""How PennyLane's objects are sent to workers, and what they need; imported by the engine.

See `shoal.tasks.adapters`. Nothing here imports PennyLane: the objects are there when it is called.
"""

from __future__ import annotations

from typing import Any

from shoal.tasks import Adapter

STATES = 3  # the state, a copy for measuring, and one for whatever a gate or a gradient needs
LARGEST_EXPONENT = 60
CACHES = ("_statevector", "_intermediate_states", "_state_cache")

NO_THREADS = (
    "it uses a lightning device, and threads that share one overwrite each other's state vector: "
    "the numbers come out wrong and nothing says so. Use executor='processes'"
)


def _new(kind: Any) -> Any:
    return kind.__new__(kind)


def _set(instance: Any, state: dict[str, Any]) -> None:
    instance.__dict__.update(state)


def _set_renewed(device: Any, state: dict[str, Any]) -> None:
    """Restores a simulator, with a random stream of its own: copies must not repeat one."""
    import numpy as np

    _set(device, state)
    if "_rng" in state:
        device._rng = np.random.default_rng(np.random.randint(2**31 - 1))  # noqa: NPY002, SLF001  (the state that the engine seeds anew in each worker)


def _reduce_simulator(device: Any) -> Any:
    """A simulator without the states it has computed, which cannot be pickled."""
    state = {name: None if name in CACHES else value for name, value in device.__dict__.items()}
    if "_rng" in state:
        state["_rng"] = None
    return _new, (type(device),), state, None, None, _set_renewed


def _reduce_qnode(qnode: Any) -> Any:
    """A QNode without what is left of its last call, such as tracers of JAX."""
    state = {**qnode.__dict__, "_tape": None, "_qfunc_output": None}
    return _new, (type(qnode),), state, None, None, _set


def _reduce_box(box: Any) -> Any:
    """A number that autograd traces, as the number."""
    value = box
    while hasattr(value, "_value"):
        value = value._value  # noqa: SLF001  (as autograd's own getval does)
    return _same, (value,)


def _same(value: Any) -> Any:
    return value


def state_bytes(wires: Any, c_dtype: Any = None) -> int:
    """Memory that a task with a state vector on these wires needs; 0 where they are not known."""
    if wires is None:
        return 0
    import numpy as np

    amplitude = 16 if c_dtype is None else np.dtype(c_dtype).itemsize
    return STATES * amplitude * int(2 ** min(len(wires), LARGEST_EXPONENT))


def _memory_bytes(device: Any) -> int:
    return state_bytes(device.wires, getattr(device, "_c_dtype", None))


def is_lightning(device: Any) -> bool:
    """Whether a device is one of PennyLane Lightning's."""
    return any(kind.__module__.startswith("pennylane_lightning") for kind in type(device).__mro__)


BOX = Adapter(_reduce_box)
QNODE = Adapter(_reduce_qnode)
SIMULATOR = Adapter(_reduce_simulator, _memory_bytes)
LIGHTNING = Adapter(_reduce_simulator, _memory_bytes, NO_THREADS)
