"""Protocol handlers for pyserial, one module per URL scheme; :func:`use` puts them before pyserial's own."""

import serial


def use() -> None:
    """Makes ``rfc2217://`` and ``socket://`` ports of this process use these handlers."""
    if __name__ not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.insert(0, __name__)
