"""The careful PEFT loop: base in half precision or FP32, rows that come sorted by length and are padded to the longest of
their micro-batch, no mask (padding stands on the right, where causal attention does not look), logits of scored tokens
alone, fused AdamW."""

import torch
from batch import pad
from load import load_adapted
from loop import Loop
from serve import serve, versions


class Careful(Loop):
    def open(self, model, adapter, dtype, device, threads):
        torch.set_num_threads(threads)
        self.device = device
        self.half = None if dtype == "float32" else getattr(torch, dtype)
        self.start(load_adapted(model, adapter, dtype).to(device), fused=True)
        self.causal = self.model.get_base_model()
        return {"versions": versions()}

    def loss(self, rows, scored_of_step):
        ids, _, labels = (tensor.to(self.device) for tensor in pad(rows))
        targets = labels[:, 1:].flatten()
        scored = (targets != -100).nonzero().squeeze(1)
        # Position of a scored token's predecessor in the flattened (rows, longest) of hidden states.
        width = ids.shape[1] - 1
        predecessors = scored // width * (width + 1) + scored % width
        with torch.autocast(self.device, dtype=self.half, enabled=self.half is not None):
            hidden = self.causal.model(input_ids=ids, use_cache=False).last_hidden_state
            logits = self.causal.lm_head(hidden.flatten(0, 1)[predecessors])
        return torch.nn.functional.cross_entropy(logits.float(), targets[scored], reduction="sum") / scored_of_step


if __name__ == "__main__":
    serve(Careful())
