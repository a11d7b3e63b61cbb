"""The versions of the database, each a file with the steps from the one before.

Version ``0002`` is ``version_0002.py``, with ``revision = "0002"`` and ``down_revision = "0001"``.
Once a version was released its file is never edited: it repeats what it makes instead of asking
`schema`, which tells of the newest version only. There are no steps back; the copy that is made
before an upgrade is the way back.
"""
