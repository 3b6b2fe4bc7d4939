"""`python -m app` is `heliograph`."""

from app.cli.main import main

if __name__ == "__main__":
    main()
