"""Mail: a message composed, and carried to one recipient by a transport."""
