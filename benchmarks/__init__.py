"""Speed as ratios inside one run: each module is a command, `python -m benchmarks.NAME [--quick] [--json]`."""
