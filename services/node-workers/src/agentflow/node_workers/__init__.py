"""Typed pools that run nodes: the only room that touches providers, databases and the web."""
