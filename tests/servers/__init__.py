"""Real servers for the tests: each starts on a free loopback port in a folder of its own, and stops for certain."""
