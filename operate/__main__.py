"""`python -m operate`: the command line."""

from operate.cli import main

if __name__ == "__main__":
    main()
