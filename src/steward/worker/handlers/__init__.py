"""Where handlers run: in warm child processes, or in this one."""
