"""What a camera saw of the strips: where each LED is, how bright, in which colour, at what time. Pure."""
