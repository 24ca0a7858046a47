"""What a run leaves behind: a page to read, tables to load, a table on the terminal."""
