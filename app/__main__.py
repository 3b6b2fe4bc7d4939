"""`python -m app` is `heliograph`."""

from app.cli import main

if __name__ == "__main__":
    main()
