"""What cannot be stored is refused where it is looked up by, and replaced where it is read."""

import pytest

from shoal.serverless.store.texts import checked, cleaned


@pytest.mark.parametrize("text", ["", "é", "💡\u202e\n", "x" * 255])
def test_other_text_stays_as_it_is(text):
    assert checked("title", text) == cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 256, "title of 256 characters: expected 0 to 255"),
        ("\0", "title='.x00': NUL and lone surrogates"),
        ("\udfff", "NUL and lone surrogates"),
    ],
)
def test_text_that_no_database_takes_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        checked("title", text)
    assert len(cleaned(text)) == len(text)
