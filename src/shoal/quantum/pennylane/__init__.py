"""PennyLane: the device that runs batches of tapes in parallel, and how QNodes travel.

No name is re-exported here: `shoal.quantum` is the face, and imports PennyLane only when asked.
"""
