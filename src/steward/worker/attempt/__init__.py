"""One attempt at a task: its letters, its files, and how it ends."""
