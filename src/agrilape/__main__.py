"""`python -m agrilape` is `agrilape`."""

from agrilape.cli import main

if __name__ == "__main__":
    main()
