"""Parts: digests with names and texts, and what differs between two lists of them."""

import platform
from importlib.metadata import version

import numpy as np

from shoal.tasks.checkpoints.fingerprint import Part, differences, part, version_parts


def double(x):
    """Doubles."""
    return 2 * x


def test_a_part_has_a_short_text_whatever_the_value():
    assert part("n", 5).text == "5"
    assert part("s", "word").text == "word"
    assert len(part("big", list(range(10**5))).text) < 500
    assert len(part("array", np.zeros((1000, 1000))).text) < 500
    assert part("f", double).text.startswith("def double(x):")
    assert part("c", int).text == "int"


def test_a_value_that_cannot_be_shown_is_a_part_too():
    class Odd:
        def __repr__(self):
            raise ValueError

    assert "Odd" in part("odd", Odd()).text


def test_versions_are_those_that_run():
    assert [(found.name, found.text) for found in version_parts()] == [
        ("version of python", ".".join(platform.python_version_tuple()[:2])),
        ("version of numpy", version("numpy")),
        ("version of shoal", version("shoal")),
    ]


def test_no_difference_is_an_empty_text():
    assert differences([part("a", 1)], [part("a", 1)]) == ""


def test_values_are_shown_old_and_new():
    old = [part("a", 1), part("b", 2), part("same", 0)]
    new = [part("same", 0), part("b", 3), part("c", 4)]
    assert differences(old, new).splitlines() == [
        "a: 1 → (not used)",
        "b: 2 → 3",
        "c: (not used) → 4",
    ]


def test_sources_are_shown_as_a_unified_diff():
    old = Part("function", "1", "def f(x):\n    return x\n")
    new = Part("function", "2", "def f(x):\n    return x + 1\n")
    assert differences([old], [new]).splitlines() == [
        "--- function, as recorded",
        "+++ function, now",
        "@@ -1,2 +1,2 @@",
        " def f(x):",
        "-    return x",
        "+    return x + 1",
    ]


def test_a_difference_that_the_text_leaves_out_is_told():
    old, new = np.zeros(10**5), np.zeros(10**5)
    new[5000] = 1
    said = differences([part("axis", old)], [part("axis", new)])
    assert said.startswith("axis: ")
    assert "what is not shown differs" in said
