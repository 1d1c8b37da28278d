"""The optimizer step that the loops share: token-weighted loss over micro-batches, clipping at 1, AdamW."""

import time

import torch
from batch import count


class Loop:
    """A peer has open(), which sets model and optimizer through start(), and loss(rows): a sum over scored tokens."""

    def start(self, model, **adam):
        self.model = model
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, weight_decay=0.0, **adam)

    def step(self, microBatches, learningRate):
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = learningRate
        tokens, scored = count(microBatches)
        loss_sum = 0.0
        for rows in microBatches:
            loss = self.loss(rows, scored)
            loss.backward()
            loss_sum = loss_sum + loss.detach()  # reading it would wait for a GPU
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum = float(loss_sum)
        seconds = time.perf_counter() - start
        return {"loss": loss_sum, "gradNorm": norm.item(), "tokens": tokens, "seconds": seconds}
