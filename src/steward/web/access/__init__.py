"""Who comes in by the web: keys, sessions, and a pause for whoever guesses."""
