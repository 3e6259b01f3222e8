"""`python -m troth`."""

from troth.cli.main import entry

if __name__ == "__main__":
    entry()
