"""The gateway says whether it works, what it counts and where jobs run."""

import numpy

from shoal import __version__


def test_health_and_version_need_no_token(served):
    assert served.anybody.get("/health").json() == {"status": "ok"}
    for path in ("/version", "/liveness/"):
        assert served.anybody.get(path).json() == {"version": __version__}


def test_metrics_count_jobs_and_requests_and_name_nobody(served, user):
    user.until(user.run(""))
    served.anybody.get("/nothing")
    text = served.anybody.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert int(values['shoal_jobs{status="SUCCEEDED"}']) >= 1
    assert int(values['shoal_requests_total{status="404"}']) >= 1
    assert user.name not in text


def test_what_is_installed_where_jobs_run_is_listed(user):
    found = user.get("/dependencies-versions/").json()
    assert f"numpy=={numpy.__version__}" in found
    assert found == sorted(found)
