"""Node types, one file each, behind the Protocol in `runner.py`."""
