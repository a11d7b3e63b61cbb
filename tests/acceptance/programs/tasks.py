"""The tasks of a program that was written for a published package."""

from qiskit_serverless import distribute_task, get, get_arguments, put, save_result


@distribute_task()
def double(value):
    """Twice the value."""
    return 2 * value


@distribute_task(target={"cpu": 1})
def add(left, right):
    """The sum of two values, each of which may be a reference."""
    return left + right


values = get_arguments()["values"]
doubled = [double(value) for value in values]
save_result({"doubled": get(doubled), "sum": get(add(doubled[0], put(1000)))})
