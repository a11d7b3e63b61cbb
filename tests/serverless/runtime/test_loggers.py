"""Every line of a logger says for whom it is."""

import subprocess
import sys

PROGRAM = """
from shoal.serverless.runtime import get_logger, get_provider_logger
assert get_logger() is get_logger()
get_logger().info("one\\ntwo %s", 2)
get_provider_logger().warning("mine")
get_logger().debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    get_logger().exception("it failed")
get_logger().info("")
"""


def test_each_line_has_its_prefix():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    lines = ran.stderr.splitlines()
    assert lines[:4] == [
        "[PUBLIC] INFO: one",
        "[PUBLIC] INFO: two 2",
        "[PRIVATE] WARNING: mine",
        "[PUBLIC] ERROR: it failed",
    ]
    assert lines[-2:] == [
        "[PUBLIC] ERROR: ZeroDivisionError: division by zero",
        "[PUBLIC] INFO: ",
    ]
    assert all(line.startswith("[P") for line in lines)
