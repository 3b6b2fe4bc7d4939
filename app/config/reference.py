"""The settings as documentation: `.env.example` and the table of `ops/guide/settings.md`."""

from app.config.settings import FIELDS

EXAMPLE_HEAD = """\
# Every setting of heliograph, with its default. Copy to .env, which git ignores, and fill in what you need.
# The form is that of docker compose, of systemd's EnvironmentFile, and of a shell: set -a; . ./.env; set +a
# Each secret may stand in a file of its own instead: NAME_FILE=/run/secrets/name. A key: openssl rand -hex 32
"""


EXAMPLE_PARTS = {
    "KAFKA_": "Kafka",
    "HELIOGRAPH_": "heliograph itself; the two keys are required by ingress and worker",
    "PORT": "The public door",
    "TWILIO_": "Twilio, for the one tenant `default`; several tenants stand in the file that HELIOGRAPH_CONFIG names",
}


def settings_example() -> str:
    """`.env.example`, from the fields."""
    lines, part = [EXAMPLE_HEAD.rstrip()], ""
    for field in FIELDS:
        prefix = next(prefix for prefix in EXAMPLE_PARTS if field.env.startswith(prefix))
        if prefix != part:
            part = prefix
            lines += ["", f"# -- {EXAMPLE_PARTS[part]}"]
        lines += ["", f"# {field.meaning}", f"{'' if field.secret else '# '}{field.env}={field.shown}"]
        lines += [f"# {field.env}_FILE="] if field.secret else []
    return "\n".join(lines)


def settings_table() -> str:
    """The table of `ops/guide/settings.md`, from the fields."""
    rows = ["| name | default | meaning |", "|---|---|---|"]
    for field in FIELDS:
        default = f"`{field.shown}`" if field.shown else ""
        name = f"`{field.env}`" + (" (or `_FILE`)" if field.secret else "")
        rows.append(f"| {name} | {default} | {field.meaning} |")
    return "\n".join(rows)
