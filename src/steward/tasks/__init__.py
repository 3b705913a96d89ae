"""A task's way in: checked, accepted, asked for again by schedules, and told of."""
