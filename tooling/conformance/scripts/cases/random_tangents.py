"""`autograd/programs` made by chance in forward mode: the steps of `random_programs.py` on dual numbers, and what their tangents must be."""

import torch

from programs import rounded
from random_indices import CarefulMaker
from random_programs import Maker

LEVELS = "torch.autograd.forward_ad."


class TangentMaker(CarefulMaker):
    # What PyTorch 1.13 has no forward mode for is taken back as other failures are.
    MAKERS = [name for name in Maker.MAKERS if name not in ("written", "cut", "widened")] + ["indexed"]

    def __init__(self, seed, double, failed):
        super().__init__(seed, double, failed)
        self.call(LEVELS + "enter_dual_level")
        self.pool = []
        for x in self.leaves:
            direction = self.call("torch.mul", rounded(*x.value.shape), 1.0)
            self.pool.append(self.call(LEVELS + "make_dual", self.call("torch.detach", x), direction))

    def large(self):
        pass

    def indexed(self):
        v = self.pick(1)
        if v is None:
            return None
        n = v.value.shape[0]
        places = torch.tensor([self.random.randrange(n) for _ in range(4)])
        t = self.call("torch.mul", v, 1.25)
        self.call("Tensor.__setitem__", t, (self.random.randrange(n),), self.call("torch.select", v, 0, self.random.randrange(n)))
        return self.call("Tensor.__getitem__", t, (places,))

    def finish(self):
        self.random.seed(f"{self.seed}/end")
        made = self.pool[len(self.leaves) :] or self.pool
        results = []
        for v in self.random.sample(made, min(len(made), 4)):
            pair = self.call(LEVELS + "unpack_dual", self.small(v))
            results.append(self.call("Tensor.clone", self.call("item", pair, 0)))
            tangent = pair.value[1]
            # Tangents without dimensions change their dtype in PyTorch 1.13.
            if tangent is not None and tangent.dtype == v.value.dtype and tangent.abs().max() > 1e-9:
                results.append(self.call("Tensor.clone", self.call("item", pair, 1)))
        self.call(LEVELS + "exit_dual_level")
        return self.p, results
