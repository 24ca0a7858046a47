"""K1 HIL harness: builds, flashes, stimulates, measures and judges audio-reactive LED controllers."""
