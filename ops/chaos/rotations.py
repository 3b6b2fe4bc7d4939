"""What operators do to a running product: restart it part by part with another tenants file, and rotate its keys."""

import asyncio
import secrets
import signal
import time

from ops.chaos.ground import Ground

PARTS = ("worker-1", "worker-2", "ingress")
REREAD, REREAD_S = "settings.read_again", 15.0


class Rolling:
    """The tenants file changes; workers and ingress are restarted one after the other."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        stand = ground.stand
        stand.rate = 60 if stand.rate == 40 else 40
        stand.write_tenants()
        for name in PARTS:
            await ground.restart(name)

    async def undo(self, ground: Ground) -> None:
        """The new file stays."""


class KeyRotation:
    """A second auth token, read again on SIGHUP, signs from then on; then a new seal key: known to every process first,
    in use by all afterwards. The former keys stay, as what they sealed does."""

    lasts_s = 2.0

    async def do(self, ground: Ground) -> None:
        """Rotate the auth token, then the seal key by two rounds of restarts."""
        await self._auth_token(ground)
        known = ground.stand.keys.seal_keys
        name = f"chaos{len(known) + 1}"
        new = f"{name}:{secrets.token_hex(32)}"
        for keys in ([*known, new], [new, *known]):
            ground.stand.keys.seal_keys = keys
            ground.stand.renew_environments()
            for part in PARTS:
                await ground.restart(part)
        ground.diary.note("rotated", seal_key=name, auth_tokens=len(ground.stand.auth_tokens))

    async def _auth_token(self, ground: Ground) -> None:
        stand = ground.stand
        before = {name: self._reread(ground, name) for name in PARTS}
        # The simulator knows the first alone.
        stand.auth_tokens = (stand.auth_tokens[0], secrets.token_hex(16))
        stand.write_tenants()
        for name in PARTS:
            stand.parts[name].signal(signal.SIGHUP)
        end = time.monotonic() + REREAD_S
        while any(self._reread(ground, name) == count for name, count in before.items()):
            if time.monotonic() > end:
                ground.problems.append(f"the tenants file was not read again within {REREAD_S:g} s of SIGHUP")
                break
            await asyncio.sleep(0.1)
        stand.signing_token = stand.auth_tokens[-1]

    def _reread(self, ground: Ground, name: str) -> int:
        """How often a part read its tenants file again."""
        return ground.stand.parts[name].log.read_text(errors="replace").count(REREAD)

    async def undo(self, ground: Ground) -> None:
        """The new keys stay."""
