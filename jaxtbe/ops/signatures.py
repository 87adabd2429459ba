"""The signature of every op: the registry that the checks, and the tests that try what does not
fit, go by.
"""

from jaxtbe.ops.operands import Operand, Signature


def _signature(name: str, **operands: str) -> Signature:
    return Signature(
        f"jaxtbe.ops.{name}", f"jaxtbe_{name}", {key: Operand.parse(text) for key, text in operands.items()}
    )


OPS: dict[str, Signature] = {
    s.api.rpartition(".")[2]: s
    for s in (
        _signature(
            "lookup",
            tables="*float[rows, dim]",
            ids="i32[N]",
            offsets="i32[F*B+1]",
            id_weights="f32[N]?",
        ),
        _signature("count_faults", ids="i32[N]", offsets="i32[F*B+1]"),
        _signature(
            "id_weights_grad",
            tables="*float[rows, dim]",
            ids="i32[N]",
            offsets="i32[F*B+1]",
            d_acts="f32[B, columns]",
        ),
        _signature("update", tables="*float[rows, dim]", hyper="f32[T, K]", noise="u32[T+2]"),
        _signature("square_norms"),
        _signature("row_gradients"),
        _signature("gather_rows", tables="*float[rows, D]", rows="i32[N]", starts="i32[T+1]"),
        _signature("store_rows", tables="*float[rows, D]", rows="i32[N]", starts="i32[T+1]", values="f32[N, D]"),
        _signature("reset_rows", table="float[rows, dim]", slots="i32[N]", ids="u32[N, 2]", seed="u32[]"),
        _signature("zch_find", identities="u32[slots, 2]", ids="u32[N, 2]", offsets="i32[F*B+1]"),
        _signature(
            "zch_insert",
            identities="u32[slots, 2]",
            last_seen="i32[slots]",
            occupancy="i32[]",
            counts="i32[slots]?",
            ids="u32[N, 2]",
            offsets="i32[F*B+1]",
            update_mask="bool[N]?",
            scores="i32[N]?",
            now="i32[]",
            ttl="i32[]",
        ),
    )
}

SHARE = _signature(
    "update",
    ids="i32[N]",
    offsets="i32[F*B+1]",
    id_weights="f32[N]?",
    update_mask="bool[N]?",
    d_acts="f32[B, columns]",
).operands
"""Of one lookup of an update, of `square_norms` or of `row_gradients`."""

ELEMENT_STATE = Operand.parse("f32|bf16[rows, dim]")
ROW_STATE = Operand.parse("f32[rows]")
RESET_STATE = Operand.parse("any[rows, ...]")

# A table's state that has one number a row is stored as a table of one column.
ONE_COLUMN = {
    **OPS["store_rows"].operands,
    "tables": Operand.parse("*float[rows]"),
    "values": Operand.parse("f32[N, 1]"),
}
