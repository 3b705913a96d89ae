"""The workers as rows: who is at work, who holds which duty, and what stands still."""
