"""What others wrote cannot steer a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from shoal.serverless.client import inert

LAYOUT = "\n\t\r"


@given(st.text())
def test_nothing_is_left_that_steers_a_terminal_or_hides_text(text):
    shown = inert(text)
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in shown)
    shown.encode()


@given(st.text())
def test_layout_stays_where_it_is_wanted(text):
    shown = inert(text, layout=True)
    assert [each for each in shown if each in LAYOUT] == [each for each in text if each in LAYOUT]


@given(st.text(st.characters(whitelist_categories=("L", "N", "P", "S", "Zs"))))
def test_ordinary_text_of_any_language_stays_as_it_is(text):
    assert inert(text) == text


def test_escapes_are_shown_as_python_writes_them():
    assert inert("\x1b]0;title\x07\u202eok\x9b") == "\\x1b]0;title\\x07\\u202eok\\x9b"
