"""Workflows of a Conductor server: definitions, thin worker, webhook, metrics. Adds no ability of its own."""
