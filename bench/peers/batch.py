"""Rows ({"tokens": [...], "targetStart": n}) padded on the right into tensors."""

import torch


def pad(rows):
    """ids, mask and labels, each (rows, longest); labels hold -100 where nothing is scored."""
    longest = max(len(row["tokens"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), -100, dtype=torch.long)
    for i, row in enumerate(rows):
        tokens = torch.tensor(row["tokens"])
        ids[i, : len(tokens)] = tokens
        mask[i, : len(tokens)] = 1
        labels[i, row["targetStart"] : len(tokens)] = tokens[row["targetStart"] :]
    return ids, mask, labels


def count(micro_batches):
    """Useful tokens and scored tokens of a step."""
    rows = [row for rows in micro_batches for row in rows]
    tokens = sum(len(row["tokens"]) for row in rows)
    return tokens, tokens - sum(row["targetStart"] for row in rows)
