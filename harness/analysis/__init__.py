"""From a recording to numbers: pure functions of arrays, no input or output, no clock."""
