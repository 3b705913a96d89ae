"""Work done: tasks claimed, attempted in children, and brought to an end."""
