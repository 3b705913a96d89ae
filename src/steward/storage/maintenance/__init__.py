"""What is done to the store as a whole: copied, made smaller, and freed of what its time is over for."""
