"""Runs the cells of a notebook, in any Python, and prints what a notebook would show, as JSON.

Arguments: the notebook as text, with ``# %%`` between cells; then code that is run after it, whose
value is shown last.
"""

import ast
import json
import sys


def show(source, names):
    """Runs a cell; the value of its last expression, or None."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    if last is not None:
        return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    return None


names = {"__name__": "__main__"}
with open(sys.argv[1]) as notebook:
    cells = notebook.read().split("# %%\n")
print("shown:" + json.dumps([repr(show(cell, names)) for cell in [*cells, *sys.argv[2:]]]))
