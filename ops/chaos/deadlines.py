"""The deadlines of a run: the product's settings, scaled down so that a text without a receipt ends within it."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `expires`: of each request; `grace`: for reports after that; `away`: how long Kafka is out of reach;
    `calm`: least and most between two faults; `recover`: how long the product may take after a fault."""

    expires: float
    grace: float
    session: float
    claim_ttl: float
    http_timeout: float
    doubt_after: float
    stall: float
    looks: tuple[float, ...]
    checkpoint: float
    away: float
    calm: tuple[float, float]
    recover: float

    def environment(self) -> dict[str, str]:
        """The settings of the product."""
        return {
            "HELIOGRAPH_OUTCOME_GRACE_S": str(self.grace),
            "HELIOGRAPH_SESSION_TIMEOUT_S": str(self.session),
            "HELIOGRAPH_CLAIM_TTL_S": str(self.claim_ttl),
            "HELIOGRAPH_HTTP_TIMEOUT_S": str(self.http_timeout),
            "HELIOGRAPH_DOUBT_AFTER_S": str(self.doubt_after),
            "HELIOGRAPH_CHECKPOINT_AFTER_S": str(self.checkpoint),
            "HELIOGRAPH_STALL_TIMEOUT_S": str(self.stall),
            "HELIOGRAPH_LOOK_AFTER_S": ",".join(map(str, self.looks)),
            "HELIOGRAPH_DOUBT_LOOK_AFTER_S": str(2 * self.doubt_after),
            "HELIOGRAPH_INBOUND_LOOK_S": "10",
        }

    def told(self) -> str:
        """One line for the screen."""
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


FULL = Deadlines(
    expires=90,
    grace=20,
    session=6,
    claim_ttl=3,
    http_timeout=3,
    doubt_after=9,
    stall=30,
    looks=(15, 45),
    checkpoint=300,
    away=60,
    calm=(2, 6),
    recover=60,
)
# For a run of a few minutes: the same order of things, less patience.
SHORT = Deadlines(
    expires=32,
    grace=6,
    session=5,
    claim_ttl=3,
    http_timeout=2,
    doubt_after=7,
    stall=30,
    looks=(10, 20),
    checkpoint=60,
    away=15,
    calm=(1, 2),
    recover=60,
)
