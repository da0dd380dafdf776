"""Every key of the gate is built here and nowhere else."""

from uuid import UUID


def of_drop(drop_id: UUID) -> tuple[str, str]:
    """Return the keys (gate, holders) of a drop; the hash tag keeps them on one cluster slot."""
    tag = f"{{{drop_id}}}"
    return f"gate:{tag}", f"gate:{tag}:holders"
