"""Audio tuning: music in, parameters out that make a pattern follow music better than its defaults do."""
