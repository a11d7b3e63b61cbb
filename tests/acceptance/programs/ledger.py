"""Writes into a ledger of its own when it starts and when it ends."""

import os
import time

from shoal.serverless import get_arguments, save_result

arguments = get_arguments()
job = os.environ["ENV_JOB_ID_GATEWAY"]


def note(what):
    """One line, written in one step, that is there before anything goes on."""
    ledger = os.open(arguments["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, f"{what} {job} {arguments['number']} {os.getpid()}\n".encode())
    os.fsync(ledger)
    os.close(ledger)


note("began")
time.sleep(arguments["seconds"])
save_result({"number": arguments["number"]})
note("ended")
