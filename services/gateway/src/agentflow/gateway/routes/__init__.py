"""The gateway's doorways: parse, call one thing, answer."""
