"""transformers' generate() as it is fastest: prompts sorted by length, batches padded on the left, greedy."""

import time

import torch
from load import load_base
from peft import PeftModel
from serve import serve, versions


class Generating:
    def open(self, model, dtype, threads, stopTokens, adapter=None):
        torch.set_num_threads(threads)
        base = load_base(model, dtype)
        self.model = PeftModel.from_pretrained(base, adapter).merge_and_unload() if adapter else base
        self.model.eval()
        self.stop = stopTokens
        return {"versions": versions()}

    def generate(self, prompts, maxNewTokens, batch):
        start = time.perf_counter()
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        outputs = [None] * len(prompts)
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            for i, tokens in zip(chosen, self.answer([prompts[i] for i in chosen], maxNewTokens)):
                outputs[i] = tokens
        return {"outputs": outputs, "seconds": time.perf_counter() - start}

    def speed(self, prompt, newTokens):
        """One sequence: tokens/s of its prompt, and of tokens after it."""
        first = self.seconds(prompt, 1)
        return {"prefill": len(prompt) / first, "decode": newTokens / (self.seconds(prompt, newTokens + 1) - first)}

    @torch.inference_mode()
    def seconds(self, prompt, count):
        start = time.perf_counter()
        ids = torch.tensor([prompt])
        self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=self.stop[0],
        )
        return time.perf_counter() - start

    @torch.inference_mode()
    def answer(self, prompts, most):
        longest = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), longest), self.stop[0])
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        found = self.model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=self.stop,
            pad_token_id=self.stop[0],
        )
        return [self.until_stop(tokens) for tokens in found[:, longest:].tolist()]

    def until_stop(self, tokens):
        ends = [at for at, token in enumerate(tokens) if token in self.stop]
        return tokens[: ends[0]] if ends else tokens


if __name__ == "__main__":
    serve(Generating())
