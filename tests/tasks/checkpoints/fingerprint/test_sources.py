"""Sources: what a function does, however it is written down."""

import linecache
import sys
import types

import pytest

from shoal.tasks.checkpoints.fingerprint.sources import (
    bytecode,
    class_text,
    combined,
    function_source,
    imported_source,
    reads,
    users_module,
)


def from_file(path, source, name="f"):
    """A function of a module that was loaded from a file."""
    path.write_text(source)
    linecache.checkcache(str(path))
    scope = {"__name__": "users_own"}
    exec(compile(source, str(path), "exec", dont_inherit=True), scope)
    return scope[name]


def from_text(source, name="f"):
    """A function without a source file."""
    scope = {"__name__": "users_own"}
    exec(source, scope)
    return scope[name]


BASE = '''
def f(x, y=1):
    """Documented."""
    def inner(z):
        """Documented too."""
        return z + 1  # commented
    return inner(x) if x in {"a", "b", "c"} else [inner(y), 'quoted']
'''
SAME = [
    BASE.replace('    """Documented."""\n', ""),
    BASE.replace("Documented too.", "Otherwise."),
    BASE.replace("  # commented", ""),
    BASE.replace("z + 1", "(\n        z    +   1\n    )"),
    BASE.replace("'quoted'", '"quoted"'),
    "\n\n\n" + BASE,
    "before = 1\n" + BASE.replace("def f(", "def g("),
]
OTHER = [
    BASE.replace("z + 1", "z + 2"),
    BASE.replace("z + 1", "1 + z"),
    BASE.replace('"c"', '"d"'),
    BASE.replace("quoted", "Quoted"),
    BASE.replace("x, y", "x, w, y"),
]


@pytest.mark.parametrize("source", SAME)
def test_comments_docstrings_formatting_and_the_name_make_no_difference(tmp_path, source):
    base = from_file(tmp_path / "base.py", BASE)
    same = from_file(tmp_path / "same.py", source, "g" if "def g(" in source else "f")
    assert function_source(same).digest == function_source(base).digest


@pytest.mark.parametrize("source", OTHER)
@pytest.mark.parametrize("load", [from_file, lambda path, source: from_text(source)])
def test_what_it_does_makes_a_difference(tmp_path, source, load):
    base, other = load(tmp_path / "base.py", BASE), load(tmp_path / "other.py", source)
    assert function_source(other).digest != function_source(base).digest


def test_the_text_is_the_source_as_written(tmp_path):
    f = from_file(tmp_path / "base.py", "if True:\n    def f(x):\n        return x  # kept\n")
    assert function_source(f).text == "def f(x):\n    return x  # kept\n"


def test_decorators_belong_to_the_source(tmp_path):
    source = "def mark(g): return g\n@mark\n@mark\ndef f(x):\n    return x\n"
    assert function_source(from_file(tmp_path / "base.py", source)).text.startswith("@mark\n@mark")


@pytest.mark.parametrize("source", SAME[:1] + SAME[2:6])
def test_without_a_file_the_bytecode_counts(source):
    found = function_source(from_text(source))
    assert found.text == "f"
    if "inner(z)" in source and "Documented." in source:
        assert found.digest == function_source(from_text(BASE)).digest


def test_a_file_that_changed_since_it_was_loaded_is_not_believed(tmp_path):
    path = tmp_path / "base.py"
    f = from_file(path, BASE)
    before = function_source(f)
    path.write_text(BASE.replace("z + 1", "z + 7"))
    linecache.checkcache(str(path))
    after = function_source(f)
    assert "z + 7" not in after.text
    assert after.digest != before.digest
    assert after.digest == function_source(from_text(BASE)).digest


def test_each_of_several_lambdas_on_a_line_is_itself(tmp_path):
    source = "f = [lambda x: x + 1, lambda x: (x + 2), lambda: None, lambda *a: lambda y: y]\n"
    functions = from_file(tmp_path / "base.py", source)
    texts = [function_source(function).text for function in functions]
    assert texts == [
        "lambda x: x + 1",
        "lambda x: (x + 2)",
        "lambda: None",
        "lambda *a: lambda y: y",
    ]
    assert function_source(functions[3](0)).text == "lambda y: y"


def test_a_lambda_over_several_lines_is_the_same_on_one(tmp_path):
    one = from_file(tmp_path / "one.py", "f = (lambda x:\n  x  # said\n  + 1)\n")
    other = from_file(tmp_path / "other.py", "f = lambda x: x + 1\n")
    assert function_source(one).digest == function_source(other).digest


def test_a_method_is_found_in_its_class(tmp_path):
    one = "class A:\n    def f(self):\n        return 1\n"
    other = one.replace("A", "B").replace("1", "2")
    source = f"{one}{other}f = A.f, B.f\n"
    one, other = from_file(tmp_path / "base.py", source)
    assert "return 1" in function_source(one).text
    assert "return 2" in function_source(other).text


def test_bytecode_knows_nested_code_and_the_order_of_sets_does_not_matter():
    def one():
        return [x for x in (1, 2) if x in {"a", "b", "c", "d"}]

    def other():
        return [x for x in (1, 3) if x in {"a", "b", "c", "d"}]

    assert bytecode(one.__code__) != bytecode(other.__code__)


def test_reads_tells_globals_from_attributes_and_imports():
    def f(x):
        from math import tau

        import numpy.linalg

        def inner():
            return some_global.attribute.other  # noqa: F821

        return inner() + len(x) + tau + numpy.linalg.norm(x)

    found = reads(f.__code__)
    assert found.names == ("len", "some_global")
    assert {"attribute", "other", "tau"} <= set(found.attributes)
    assert found.imports == ("math", "numpy.linalg")


def test_modules_of_users_are_told_from_those_of_libraries(tmp_path, monkeypatch):
    for name in ("__main__", "never_loaded_anywhere", __name__, None):
        assert users_module(name), name
    for name in ("math", "os.path", "numpy", "numpy.linalg", "shoal.tasks", "builtins", "_pytest"):
        assert not users_module(name), name
    monkeypatch.setitem(sys.modules, "made_up", types.ModuleType("made_up"))
    assert users_module("made_up")
    (tmp_path / "queue.py").touch()
    mine = types.ModuleType("queue")
    mine.__file__ = str(tmp_path / "queue.py")
    monkeypatch.setitem(sys.modules, "queue", mine)
    assert users_module("queue")  # whatever library has the same name


def test_a_module_imported_inside_a_function_is_found_as_a_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "alone_x.py").write_text("A = 1  # one\n")
    package = tmp_path / "package_x" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("B = 1\n")
    (package / "leaf.py").write_text("C = 1\n")
    (tmp_path / "package_x" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    before = imported_source("alone_x", None)
    assert before.text == "A = 1  # one\n"
    assert imported_source("package_x.inner", None).text == "B = 1\n"
    assert imported_source("package_x.inner.leaf", None).text == "C = 1\n"
    assert imported_source("inner.leaf", "package_x").text == "C = 1\n"
    (tmp_path / "alone_x.py").write_text("A = 1\n")
    assert imported_source("alone_x", None).digest == before.digest
    for name in ("numpy", "math", "no_such_module_x", "__main__"):
        assert imported_source(name, None) is None
    assert "alone_x" not in sys.modules


def test_a_class_without_source_is_its_name():
    assert class_text(type("Made", (), {})) == "Made"
    assert class_text(types.SimpleNamespace) == "SimpleNamespace"


def test_pieces_are_told_apart():
    assert combined([b"ab", b"c"]) != combined([b"a", b"bc"]) != combined([b"abc"])
