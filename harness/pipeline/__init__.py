"""What a person or a workflow does with rigs: plain functions, no workflow engine."""
