"""Codecs: bytes to values and back. Pure: no input or output, no clock, no sleep."""
