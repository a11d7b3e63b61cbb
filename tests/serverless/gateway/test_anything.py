"""Whatever is sent to whatever route, the answer is never a fault of ours, and always readable."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.serverless.gateway.routes import TABLE
from shoal.serverless.identifiers import new_id
from tests.serverless.making import archive

words = st.sampled_from(
    ["", "program", "lab/program", "..", "null", "{}", "[1]", "-1", "9" * 30, "\0", "\ud800", "é"]
) | st.text(max_size=20)
values = st.one_of(words, st.none(), st.integers(), st.floats(), st.lists(words, max_size=2))
names = st.sampled_from(
    [
        "title",
        "provider",
        "entrypoint",
        "arguments",
        "config",
        "env_vars",
        "dependencies",
        "arguments_schema",
        "max_attempts",
        "function_size",
        "result",
        "sub_status",
        "type",
        "code",
        "message",
        "exception",
        "args",
        "runtime_job",
        "runtime_session",
        "file",
        "function",
        "username",
        "password",
    ]
)
queries = st.sampled_from(
    [
        "limit",
        "offset",
        "status",
        "created_after",
        "function",
        "provider",
        "filter",
        "file",
        "type",
        "logs",
        "with_result",
    ]
)
MOST = 80


@settings(
    max_examples=MOST,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_anything_is_answered(served, user, data):
    route = data.draw(st.sampled_from([route for route in TABLE if "stream" not in route.path]))
    part = data.draw(words.map(encoded).filter(bool) | st.just(new_id()))
    path = "/".join(part if each.startswith("{") else each for each in route.path.split("/"))
    query = data.draw(st.dictionaries(queries, words.map(encoded), max_size=3))
    address = f"{served.address}{path}?{'&'.join(f'{k}={v}' for k, v in query.items())}"
    body = data.draw(st.dictionaries(names, values, max_size=5))
    form = data.draw(st.sampled_from(["json", "form", "upload", "bytes"]))
    options = {"headers": {"Prefer": "wait=0"}}
    if form == "json":
        options["content"] = json.dumps(body).encode()
    elif form == "bytes":
        kind = data.draw(st.sampled_from(["application/json", "text/plain", "multipart/form-data"]))
        options["content"] = data.draw(st.binary(max_size=50))
        options["headers"]["Content-Type"] = kind
    else:
        texts = {name: str(value).encode(errors="replace") for name, value in body.items()}
        options["data"] = texts
        if form == "upload":
            name = data.draw(st.sampled_from(["artifact", "file", "other"]))
            content = data.draw(st.sampled_from([b"", b"x", archive({"main.py": ""})]))
            options["files"] = {name: ("a", content)}
    answer = user.client.request(route.method, address, **options)
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code >= 400:
        assert list(answer.json()) == ["message"]


def encoded(text):
    """A text for an address; what has no UTF-8 goes as bytes that are none."""
    from urllib.parse import quote

    return quote(text.encode(errors="surrogatepass"), safe="")
