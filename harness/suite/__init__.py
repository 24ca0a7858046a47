"""The parts of the pytest plugin: options, the session around one rig, fixtures, results."""
