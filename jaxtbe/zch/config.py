import dataclasses
@dataclasses.dataclass(frozen=True)
class Zch:
    max_probe: int = 128
    buckets: int = 1
    policy: str | None = None
    ttl: int | None = None
    on_full: str = "miss"
    reserved: int = 0
    admit_after: int = 1
    track_counts: bool = False
    priority: str = "id"
