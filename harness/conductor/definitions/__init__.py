"""The definitions of tasks, workflows and schedules: JSON files, as the server takes them."""
