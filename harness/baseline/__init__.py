"""Accepted values of a rig's metrics, and the rule that turns a metric into a verdict."""
