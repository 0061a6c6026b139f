"""`python -m pipeline`."""

from pipeline.cli.main import entry

if __name__ == "__main__":
    entry()
