"""One file per kind of instrument: what the harness drives or reads. They know nothing of the virtual bench."""
