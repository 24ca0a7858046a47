"""The one place that registers the harness's pytest plugin.

An entry point or `-p` would lose the fixture `dut` to pytest-embedded, which then probes real serial ports.
"""

pytest_plugins = ["harness.plugin"]
