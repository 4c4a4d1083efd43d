"""Language model providers, one file each, behind the Protocol in `provider.py`."""
