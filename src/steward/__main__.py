"""Lets `python -m steward` do what `steward` does."""

from steward.cli import main

if __name__ == "__main__":
    main()
