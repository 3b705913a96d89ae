"""The machine that all stands on: time, files for this user alone, processes, the log; knows nothing of tasks."""
