"""The hashed ZCH's insert, one id at a time, in plain Python: the specification of
`ops.zch_insert`.

It follows ZCH.md step by step and shares no code with the parallel insert, which must give the same
bits.
"""

import numpy as np

_MASK = 2**64 - 1
_NO_ID = -1
_NO_ID_STATUS, _HIT, _INSERTED, _EVICTED, _FAILED, _UNADMITTED, _READ_HIT, _READ_MISS = range(8)


def zch_hash(id: int) -> int:
    """MurmurHash3 x64-128 of the 16-byte block (id, 0) with seed 0, its halves XORed: an unsigned
    64-bit number.
    """

    def rotate_left(x, bits):
        return (x << bits | x >> (64 - bits)) & _MASK

    def avalanche(x):
        x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & _MASK
        x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
        return x ^ x >> 33

    k = rotate_left((id & _MASK) * 0x87C37B91114253D5 & _MASK, 31) * 0x4CF5AD432745937F & _MASK
    a = (rotate_left(k, 27) * 5 + 0x52DCE729) & _MASK
    b = (a * 5 + 0x38495AB5) & _MASK
    a, b = a ^ 16, b ^ 16
    a = (a + b) & _MASK
    b = (b + a) & _MASK
    a, b = avalanche(a), avalanche(b)
    a = (a + b) & _MASK
    b = (b + a) & _MASK
    return a ^ b


class Layout:
    """Buckets, homes and windows of a table of `slots` rows."""

    def __init__(self, zch, slots: int):
        self.zch = zch
        self.bucket_slots = slots // zch.buckets
        self.block = self.bucket_slots - zch.reserved

    def base(self, id: int) -> int:
        return (id & _MASK) % self.zch.buckets * self.bucket_slots

    def window(self, id: int) -> list[int]:
        """The slots where the id may live, in probe order."""
        base, home = self.base(id), zch_hash(id) % self.block
        return [base + (home + d) % self.block for d in range(min(self.zch.max_probe, self.block))]

    def fallback(self, id: int) -> int:
        """The row of an id that is in no slot."""
        if self.zch.on_full == "miss":
            return -1
        if self.zch.on_full == "share":
            return self.base(id) + zch_hash(id) % self.block
        return self.base(id) + self.block + zch_hash(id) % self.zch.reserved


class Table:
    """One table as an insert sees it."""

    def __init__(self, zch, identities, last_seen, counts, occupancy):
        self.zch = zch
        self.layout = Layout(zch, len(identities))
        self.identities = [int(x) for x in identities]
        self.last_seen = [int(x) for x in last_seen]
        self.counts = None if counts is None else [int(x) for x in counts]
        self.occupancy = int(occupancy)
        self.protected = set()
        self.evicted = []
        self.evicted_scores = []

    def find(self, id: int) -> int | None:
        return next((s for s in self.layout.window(id) if self.identities[s] == id), None)

    def refresh(self, slot: int, score: int, count: int) -> None:
        self.last_seen[slot] = max(self.last_seen[slot], score)
        if self.counts is not None:
            self.counts[slot] = min(self.counts[slot] + count, 2**31 - 1)
        self.protected.add(slot)

    def choose(self, id: int, score: int, threshold: int) -> int | None:
        """The slot that a new id gets, or None."""
        window = self.layout.window(id)
        empty = [s for s in window if self.identities[s] == _NO_ID]
        evictable = []
        if self.zch.policy is not None:
            limit = min(threshold, score)
            evictable = [s for s in window if s not in empty and s not in self.protected and self.last_seen[s] < limit]
        if self.zch.policy == "lru":
            return empty[0] if empty else min(evictable, key=lambda s: self.last_seen[s], default=None)
        return next((s for s in window if s in empty or s in evictable), None)

    def put(self, slot: int, id: int, score: int, count: int) -> bool:
        """True if another id was evicted."""
        evicts = self.identities[slot] != _NO_ID
        if evicts:
            self.evicted.append(slot)
            self.evicted_scores.append(self.last_seen[slot])
        else:
            self.occupancy += 1
        self.identities[slot] = id
        self.last_seen[slot] = score
        if self.counts is not None:
            self.counts[slot] = count
        self.protected.add(slot)
        return evicts


class NewId:
    """What a batch says of one id."""

    def __init__(self, first: int):
        self.first, self.count, self.score = first, 0, -(2**31)

    def add(self, score: int) -> None:
        self.count += 1
        self.score = max(self.score, score)


def zch_insert(slots, batch, now: int, ttl: int, *, zch, access):
    """See `jaxtbe.ops.zch_insert`. Takes NumPy arrays and returns them, in the order of
    `ZchInserted`.
    """
    ids = np.ascontiguousarray(batch.ids).view("<i8").reshape(-1).tolist()
    identities = np.ascontiguousarray(slots.identities).view("<i8").reshape(-1)
    table = Table(zch, identities, slots.last_seen, slots.counts, slots.occupancy)
    default_score = max(-(2**31), min(now + ttl, 2**31 - 1))
    writing, reading = _positions(ids, batch, access)

    collected: dict[int, NewId] = {}  # 1. collect
    for n in writing:
        score = default_score if batch.scores is None else int(batch.scores[n])
        collected.setdefault(ids[n], NewId(n)).add(score)

    rows, status = [-1] * len(ids), [_NO_ID_STATUS] * len(ids)
    of_id: dict[int, tuple[int | None, int]] = {}  # id to (slot, status)
    for id, new in collected.items():  # 2. hits
        slot = table.find(id)
        if slot is not None:
            table.refresh(slot, new.score, new.count)
            of_id[id] = slot, _HIT
    misses = [id for id in collected if id not in of_id]
    for id in sorted(misses, key=lambda id: id if zch.priority == "id" else collected[id].first):
        new = collected[id]
        if new.count < zch.admit_after:  # 3. admission
            of_id[id] = None, _UNADMITTED
            continue
        slot = table.choose(id, new.score, now)  # 4. claims
        if slot is None:
            of_id[id] = None, _FAILED
        else:
            of_id[id] = slot, _EVICTED if table.put(slot, id, new.score, new.count) else _INSERTED
    for n in writing:
        slot, status[n] = of_id[ids[n]]
        rows[n] = table.layout.fallback(ids[n]) if slot is None else slot
    for n in reading:  # 5. read-only positions
        slot = table.find(ids[n])
        status[n] = _READ_MISS if slot is None else _READ_HIT
        rows[n] = table.layout.fallback(ids[n]) if slot is None else slot
    return _outputs(slots, table, rows, status, of_id, now + ttl)  # 6. outputs


def _positions(ids, batch, access) -> tuple[list[int], list[int]]:
    """The positions of the table's features that write, and those that only read; those without an
    id left out.
    """
    writing: list[int] = []
    reading: list[int] = []
    batch_size = (len(batch.offsets) - 1) // len(access)
    offsets = np.maximum.accumulate(np.clip(batch.offsets, 0, len(ids)))  # broken ones never make bags overlap
    for f, of in enumerate(access):
        if of is None:
            continue
        for n in range(int(offsets[f * batch_size]), int(offsets[(f + 1) * batch_size])):
            if ids[n] != _NO_ID:
                masked = batch.update_mask is not None and not batch.update_mask[n]
                (reading if of == "read_only" or masked else writing).append(n)
    return writing, reading


def _outputs(slots, table: Table, rows, status, of_id, score_now: int) -> tuple:
    def words(int64s):
        return np.asarray(int64s, np.int64).view("<u4").reshape(-1, 2)

    kinds = [kind for _, kind in of_id.values()]
    counters = [
        sum(s != _NO_ID_STATUS for s in status),
        status.count(_HIT),
        kinds.count(_INSERTED) + kinds.count(_EVICTED),
        kinds.count(_EVICTED),
        kinds.count(_FAILED),
        kinds.count(_UNADMITTED),
        status.count(_READ_HIT),
        status.count(_READ_MISS),
        table.occupancy,
    ]
    evicted = sorted(table.evicted)
    padding = [-1] * (len(rows) - len(evicted))
    new_slots = slots._replace(
        identities=words(table.identities),
        last_seen=np.asarray(table.last_seen, np.int32),
        occupancy=np.asarray(table.occupancy, np.int32),
        counts=None if table.counts is None else np.asarray(table.counts, np.int32),
    )
    return (
        new_slots,
        np.asarray(rows, np.int32),
        np.asarray(status, np.int8),
        np.asarray(evicted + padding, np.int32),
        words([table.identities[s] for s in evicted] + padding),
        np.asarray(counters, np.int32),
        np.asarray(sum(score_now - s for s in table.evicted_scores), np.float32),
    )
