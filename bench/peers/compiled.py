"""The careful loop under torch.compile: each decoder layer compiled with changing sizes, so that one graph serves every
layer and shape (compiling the whole model takes six times as long and runs no faster)."""

from careful import Careful
from serve import serve


class Compiled(Careful):
    def open(self, **options):
        answer = super().open(**options)
        for layer in self.causal.model.layers:
            layer.compile(dynamic=True)
        return answer


if __name__ == "__main__":
    serve(Compiled())
