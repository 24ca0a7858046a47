"""The virtual bench: a simulated ESP32-S3 board that runs the firmware built for the host."""
