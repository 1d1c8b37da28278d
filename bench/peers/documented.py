"""PEFT as its documentation shows it: the model in whatever type transformers takes, rows as they come, padded on the
right with a mask, the loss that the model itself computes from full logits, AdamW as it comes."""

import torch
from batch import pad
from load import load_adapted
from loop import Loop
from serve import serve, versions


class Documented(Loop):
    def open(self, model, adapter, dtype, device, threads):
        torch.set_num_threads(threads)
        self.device = device
        self.start(load_adapted(model, adapter).to(device))
        return {"versions": versions(), "dtype": str(self.model.dtype)}

    def loss(self, rows, scored_of_step):
        ids, mask, labels = (tensor.to(self.device) for tensor in pad(rows))
        return self.model(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=scored_of_step).loss


if __name__ == "__main__":
    serve(Documented())
