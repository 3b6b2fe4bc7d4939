"""The type of a `--port` option."""

import click

PORT = click.IntRange(0, 65535)  # 0: any free port
