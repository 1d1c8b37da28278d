"""The careful PEFT loop that training is timed against: base in half precision or FP32, rows right-padded to the longest
of their micro-batch, logits of scored tokens alone, token-weighted loss, fused AdamW. One JSON command a line on stdin,
one JSON answer a line on stdout.

  {"open": {"gguf": FILE, "adapter": FOLDER, "dtype": "float32", "threads": 2, "learningRate": 1e-3}}
  {"step": [[{"tokens": [...], "targetStart": n}, ...], ...]}        micro-batches of one optimizer step
"""

import json
import os
import resource
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


class Loop:
    def __init__(self, gguf, adapter, dtype, threads, learningRate):
        torch.set_num_threads(threads)
        folder, name = os.path.split(gguf)
        base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=getattr(torch, dtype))
        self.model = PeftModel.from_pretrained(base, adapter, is_trainable=True)
        self.model.train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=learningRate, weight_decay=0.0, fused=True)
        self.causal = self.model.get_base_model()
        self.half = None if dtype == "float32" else getattr(torch, dtype)

    def step(self, micro_batches):
        start = time.perf_counter()
        total = sum(len(r["tokens"]) - r["targetStart"] for rows in micro_batches for r in rows)
        loss_sum = 0.0
        for rows in micro_batches:
            loss = self.loss(rows) / total
            loss.backward()
            loss_sum += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = sum(len(r["tokens"]) for rows in micro_batches for r in rows)
        return {"loss": loss_sum, "gradNorm": norm.item(), "tokens": tokens, "seconds": time.perf_counter() - start}

    def loss(self, rows):
        longest = max(len(r["tokens"]) for r in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        scored = torch.zeros(len(rows), longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            length = len(row["tokens"])
            ids[i, :length] = torch.tensor(row["tokens"])
            mask[i, :length] = 1
            scored[i, row["targetStart"] : length] = True
        with torch.autocast("cpu", dtype=self.half, enabled=self.half is not None):
            hidden = self.causal.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            logits = self.causal.lm_head(hidden[:, :-1][scored[:, 1:]])
        return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][scored[:, 1:]], reduction="sum")


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    loop = None
    for line in sys.stdin:
        command = json.loads(line)
        if "open" in command:
            loop = Loop(**command["open"])
            answer = {"torch": torch.__version__}
        else:
            answer = loop.step(command["step"])
        answer["peakBytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
