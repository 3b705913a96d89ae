"""The words that everybody uses: a task, its handler, what a handler asks for, and what became of it."""
