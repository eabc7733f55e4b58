"""`optim/trajectories` and `optim/schedulers`: every optimizer and scheduler over its options."""

import itertools
import random

import torch

from encoding import encode

FORMULAS = {
    "rosenbrock4": "loss = sum_{i=0..2} 5*(x[i+1]-x[i]^2)^2 + (1-x[i])^2",
    "linreg": "loss = mean((X @ w + b - y)^2), mean over all 32 entries",
    "embed": "loss = sum(embedding(idx, w, sparse=True)^2 * [1,2,3,4] per row) ; gradient of w is sparse COO",
}


def problem(name, dtype=torch.float32):
    rounded = lambda *shape: (torch.randn(*shape, dtype=torch.float64) * 1000).round().div(1000).to(dtype)
    if name == "rosenbrock4":
        return {"x": torch.tensor([-1.2, 1, -0.5, 0.8], dtype=dtype)}, {}
    if name == "linreg":
        return {"w": rounded(3, 2), "b": rounded(2)}, {"X": rounded(16, 3), "y": rounded(16, 2)}
    return {"w": rounded(6, 2)}, {"idx": torch.tensor([0, 3, 3, 5])}


def loss_of(name, p, data):
    if name == "rosenbrock4":
        x = p["x"]
        return (5 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    if name == "linreg":
        return ((data["X"] @ p["w"] + p["b"] - data["y"]) ** 2).mean()
    rows = torch.nn.functional.embedding(data["idx"], p["w"], sparse=True)
    return (rows**2 * torch.tensor([1.0, 2, 3, 4], dtype=rows.dtype)[:, None]).sum()


def run(cls, kwargs, groups, scheduler, name, init, data, steps):
    leaves = {key: value.clone().requires_grad_() for key, value in init.items()}
    given = list(leaves.values()) if groups is None else [{**g, "params": [leaves[k] for k in g["params"]]} for g in groups]
    optimizer = cls(given, **kwargs)
    schedule = getattr(torch.optim.lr_scheduler, scheduler["class"])(optimizer, *scheduler["args"]) if scheduler else None

    def closure():
        optimizer.zero_grad()
        loss = loss_of(name, leaves, data)
        loss.backward()
        return loss

    params, losses = [[t.detach().clone() for t in leaves.values()]], []
    for _ in range(steps):
        losses.append(float(optimizer.step(closure)))
        if schedule:
            schedule.step()
        params.append([t.detach().clone() for t in leaves.values()])
    return params, losses, optimizer


def grid(**choices):
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


OPTIONS = {
    "SGD": [
        {"lr": 0.01, **k}
        for k in grid(
            momentum=[0, 0.9],
            dampening=[0, 0.2],
            weight_decay=[0, 0.1],
            nesterov=[False, True],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "Adam": [
        {"lr": 0.03, **k}
        for k in grid(
            betas=[(0.9, 0.999), (0.7, 0.95)],
            eps=[1e-8, 1e-3],
            weight_decay=[0, 0.1],
            amsgrad=[False, True],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "AdamW": [
        {"lr": 0.03, **k}
        for k in grid(
            betas=[(0.9, 0.999), (0.7, 0.95)],
            eps=[1e-8, 1e-3],
            weight_decay=[0.01, 0.3, 0],
            amsgrad=[False, True],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "RAdam": [
        {"lr": 0.03, **k} for k in grid(betas=[(0.9, 0.999), (0.7, 0.95)], eps=[1e-8, 1e-3], weight_decay=[0, 0.1], foreach=[None, True])
    ],
    "NAdam": [
        {"lr": 0.03, **k}
        for k in grid(
            betas=[(0.9, 0.999), (0.7, 0.95)], eps=[1e-8, 1e-3], weight_decay=[0, 0.1], momentum_decay=[4e-3, 0.1], foreach=[None, True]
        )
    ],
    "Adamax": [
        {"lr": 0.03, **k}
        for k in grid(
            betas=[(0.9, 0.999), (0.7, 0.95)], eps=[1e-8, 1e-3], weight_decay=[0, 0.1], maximize=[False, True], foreach=[None, True]
        )
    ],
    "Adagrad": [
        {"lr": 0.1, **k}
        for k in grid(
            lr_decay=[0, 0.1],
            weight_decay=[0, 0.1],
            initial_accumulator_value=[0, 0.5],
            eps=[1e-10, 1e-3],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "Adadelta": [
        {**k}
        for k in grid(lr=[1.0, 0.5], rho=[0.9, 0.7], eps=[1e-6, 1e-3], weight_decay=[0, 0.1], maximize=[False, True], foreach=[None, True])
    ],
    "RMSprop": [
        {"lr": 0.01, **k}
        for k in grid(
            alpha=[0.99, 0.8],
            eps=[1e-8, 1e-3],
            weight_decay=[0, 0.1],
            momentum=[0, 0.5],
            centered=[False, True],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "Rprop": [
        {**k}
        for k in grid(
            lr=[0.01, 0.005],
            etas=[(0.5, 1.2), (0.3, 1.5)],
            step_sizes=[(1e-6, 50), (1e-3, 0.1)],
            maximize=[False, True],
            foreach=[None, True],
        )
    ],
    "ASGD": [
        {"lr": 0.005, **k}
        for k in grid(
            lambd=[1e-4, 0.1], alpha=[0.75, 0.5], t0=[1e6, 5.0], weight_decay=[0, 0.1], maximize=[False, True], foreach=[None, True]
        )
    ],
    "LBFGS": [
        {"lr": lr, **k}
        for lr, k in itertools.product(
            [0.1, 1],
            grid(
                max_iter=[20, 4],
                history_size=[100, 3],
                line_search_fn=[None, "strong_wolfe"],
                tolerance_grad=[1e-7, 1e-3],
                tolerance_change=[1e-9, 1e-4],
                max_eval=[None, 5],
            ),
        )
    ],
    "SparseAdam": [{"lr": 0.05, **k} for k in grid(betas=[(0.9, 0.999), (0.7, 0.95)], eps=[1e-8, 1e-3])],
}
SCHEDULES = [
    None,
    None,
    {"class": "StepLR", "args": [5, 0.5]},
    {"class": "ExponentialLR", "args": [0.9]},
    {"class": "CosineAnnealingLR", "args": [10]},
]


def trajectory_records(most, log=print):
    steps = 20
    for cls_name, choices in OPTIONS.items():
        cls = getattr(torch.optim, cls_name)
        picked = choices if len(choices) <= most else random.sample(choices, most)
        for i, kwargs in enumerate(picked):
            kwargs = {key: value for key, value in kwargs.items() if not (key in ("foreach", "max_eval") and value is None)}
            names = (
                ["embed"] if cls_name == "SparseAdam" else ["rosenbrock4", "linreg"] + (["embed"] if cls_name in ("SGD", "Adagrad") else [])
            )
            name = names[i % len(names)]
            groups = None
            if name == "linreg" and cls_name != "LBFGS" and i % 4 == 1:
                groups = [{"params": ["w"], "lr": 0.02}, {"params": ["b"], **({"weight_decay": 0.05} if "weight_decay" in kwargs else {})}]
            scheduler = SCHEDULES[i % len(SCHEDULES)] if cls_name != "LBFGS" else None
            init, data = problem(name)
            wide = lambda d: {key: value.double() if value.is_floating_point() else value for key, value in d.items()}
            try:
                params, losses, optimizer = run(cls, kwargs, groups, scheduler, name, init, data, steps)
                again, losses64, _ = run(cls, kwargs, groups, scheduler, name, wide(init), wide(data), steps)
                dev = max(float(((a.double() - b).abs() / (1 + b.abs())).max()) for x, y in zip(params, again) for a, b in zip(x, y))
                if not dev < 1e-2 or any(not abs(x) < 1e6 for x in losses):
                    log(f"{cls_name} {kwargs}: unstable")
                    continue
                state = optimizer.state_dict()
                record = {
                    "id": f"{cls_name}#{i}",
                    "optimizer": cls_name,
                    "kwargs": encode(kwargs),
                    "problem": name,
                    "formula": FORMULAS[name],
                    "param_names": list(init),
                    "init": encode(init),
                    "data": encode(data),
                    "steps": steps,
                    "params": [encode(p) for p in params],
                    "losses": encode(losses),
                    "dev": dev,
                    "state_dict": {"state": [[k, {n: encode_state(v) for n, v in s.items()}] for k, s in state["state"].items()]},
                }
                if groups:
                    record["param_groups"] = [{k: (v if k == "params" else encode(v)) for k, v in g.items()} for g in groups]
                if scheduler:
                    record["scheduler"] = {"class": scheduler["class"], "args": encode(scheduler["args"])}
                yield record
            except Exception as error:
                log(f"{cls_name} {kwargs} {name}: {error!r}"[:200])


def encode_state(value):
    if isinstance(value, torch.Tensor) and value.layout == torch.sparse_coo:
        return {
            "$": "sparse_coo",
            "dtype": "float32",
            "shape": list(value.shape),
            "coalesced": value.is_coalesced(),
            "indices": encode(value._indices()),
            "values": encode(value._values()),
        }
    if isinstance(value, list):
        return [encode_state(x) for x in value]
    return encode(value, False)


LAMBDAS = {"0.95**e": lambda e: 0.95**e, "1/(1+e)": lambda e: 1 / (1 + e), "warmup10": lambda e: min(1.0, (e + 1) / 10)}
METRICS = {
    "plateau": [max(0.12, 1 / (1 + k)) for k in range(60)],
    "wave": [round(1 + torch.sin(torch.tensor(k / 2.5)).item() * 0.6 * 0.97**k + 1 / (k + 1), 6) for k in range(60)],
    "rising": [round(0.1 * k - 0.001 * k * k, 6) for k in range(60)],
}


def schedules():
    two = [0.1, 0.5]
    for step_size, gamma, lrs in itertools.product([1, 4, 7], [0.1, 0.6], [[0.1], two]):
        yield {"class": "StepLR", "kwargs": {"step_size": step_size, "gamma": gamma}}, lrs, "SGD", {}
    for milestones in ([5, 20], [3, 3, 10], [0, 30]):
        yield {"class": "MultiStepLR", "kwargs": {"milestones": milestones, "gamma": 0.3}}, two, "SGD", {}
    for factor, total in itertools.product([1 / 3, 0.5, 1.0], [5, 0, 100]):
        yield {"class": "ConstantLR", "kwargs": {"factor": factor, "total_iters": total}}, [0.1], "SGD", {}
    for start, end, total in itertools.product([1 / 3, 0.1, 1.0], [1.0, 0.2], [5, 25]):
        yield {"class": "LinearLR", "kwargs": {"start_factor": start, "end_factor": end, "total_iters": total}}, two, "SGD", {}
    for gamma in (0.9, 1.01):
        yield {"class": "ExponentialLR", "kwargs": {"gamma": gamma}}, two, "Adam", {}
    for power, total in itertools.product([1.0, 2.0, 0.5], [5, 30]):
        yield {"class": "PolynomialLR", "kwargs": {"total_iters": total, "power": power}}, two, "SGD", {}
    for t_max, eta in itertools.product([10, 7, 60], [0, 0.01]):
        yield {"class": "CosineAnnealingLR", "kwargs": {"T_max": t_max, "eta_min": eta}}, two, "SGD", {}
    for t0, mult, eta in itertools.product([5, 10], [1, 2, 3], [0, 0.01]):
        yield {"class": "CosineAnnealingWarmRestarts", "kwargs": {"T_0": t0, "T_mult": mult, "eta_min": eta}}, [0.1], "SGD", {}
    for mode, metric in (("min", "plateau"), ("min", "wave"), ("max", "rising"), ("max", "wave")):
        for extra in (
            {},
            {"factor": 0.5, "patience": 2, "cooldown": 3},
            {"threshold": 0.2, "threshold_mode": "abs", "patience": 1},
            {"min_lr": 0.02, "patience": 0},
            {"threshold": 0.1, "patience": 4},
            {"eps": 0.01, "patience": 1},
        ):
            yield {"class": "ReduceLROnPlateau", "kwargs": {"mode": mode, **extra}, "metric": metric}, two, "SGD", {}
    yield {"class": "ReduceLROnPlateau", "kwargs": {"min_lr": [0.01, 0.05], "patience": 1}, "metric": "plateau"}, two, "SGD", {}
    for mode, down, momentum in itertools.product(["triangular", "triangular2", "exp_range"], [None, 3], [True, False]):
        yield {
            "class": "CyclicLR",
            "kwargs": {
                "base_lr": 0.01,
                "max_lr": 0.2,
                "step_size_up": 8,
                **({"step_size_down": down} if down else {}),
                "mode": mode,
                "gamma": 0.97,
                "cycle_momentum": momentum,
            },
        }, [0.1], "SGD", {"momentum": 0.9}
    yield {
        "class": "CyclicLR",
        "kwargs": {"base_lr": [0.01, 0.02], "max_lr": [0.2, 0.3], "step_size_up": 6, "base_momentum": 0.7, "max_momentum": 0.95},
    }, two, "SGD", {"momentum": 0.9}
    yield {
        "class": "CyclicLR",
        "kwargs": {
            "base_lr": 0.01,
            "max_lr": 0.1,
            "step_size_up": 5,
            "mode": "exp_range",
            "gamma": 0.9,
            "scale_mode": "iterations",
            "cycle_momentum": False,
        },
    }, [0.1], "Adam", {}
    for strategy, three, cycle in itertools.product(["cos", "linear"], [False, True], [True, False]):
        yield {
            "class": "OneCycleLR",
            "kwargs": {
                "max_lr": 0.5,
                "total_steps": 61,
                "anneal_strategy": strategy,
                "three_phase": three,
                "cycle_momentum": cycle,
                "pct_start": 0.4,
                "div_factor": 10.0,
                "final_div_factor": 100.0,
            },
        }, [0.1], "Adam", {}
        yield {
            "class": "OneCycleLR",
            "kwargs": {
                "max_lr": [0.5, 0.1],
                "epochs": 6,
                "steps_per_epoch": 11,
                "anneal_strategy": strategy,
                "three_phase": three,
                "cycle_momentum": cycle,
                "base_momentum": 0.8,
                "max_momentum": 0.9,
            },
        }, [0.1, 0.2], "SGD", {"momentum": 0.9}
    for name in LAMBDAS:
        yield {"class": "LambdaLR", "lambda": name}, two, "SGD", {}
        yield {"class": "MultiplicativeLR", "lambda": name}, [0.1], "SGD", {}
    yield {"class": "LambdaLR", "lambda": ["warmup10", "1/(1+e)"]}, two, "SGD", {}
    yield {"class": "MultiplicativeLR", "lambda": ["0.95**e", "warmup10"]}, two, "SGD", {}
    linear = {"class": "LinearLR", "kwargs": {"start_factor": 0.1, "total_iters": 10}}
    step = {"class": "StepLR", "kwargs": {"step_size": 3, "gamma": 0.5}}
    cosine = {"class": "CosineAnnealingLR", "kwargs": {"T_max": 30}}
    exponential = {"class": "ExponentialLR", "kwargs": {"gamma": 0.9}}
    warm = {"class": "CosineAnnealingWarmRestarts", "kwargs": {"T_0": 7, "T_mult": 2}}
    multi = {"class": "MultiStepLR", "kwargs": {"milestones": [5, 9], "gamma": 0.3}}
    constant = {"class": "ConstantLR", "kwargs": {"factor": 0.2, "total_iters": 4}}
    poly = {"class": "PolynomialLR", "kwargs": {"total_iters": 12, "power": 2.0}}
    for inner, milestones in (
        ([linear, cosine], [10]),
        ([constant, exponential], [4]),
        ([linear, warm], [6]),
        ([linear, multi], [12]),
        ([step, poly], [20]),
        ([constant, linear, step], [4, 15]),
    ):
        yield {"class": "SequentialLR", "schedulers": inner, "milestones": milestones}, two, "SGD", {}
    for inner in ([constant, exponential], [linear, step], [cosine, step], [linear, exponential, multi], [poly, constant]):
        yield {"class": "ChainedScheduler", "schedulers": inner}, two, "SGD", {}


def build(case, optimizer):
    cls = getattr(torch.optim.lr_scheduler, case["class"])
    if "schedulers" in case:
        inner = [build(entry, optimizer) for entry in case["schedulers"]]
        return cls(inner) if case["class"] == "ChainedScheduler" else cls(optimizer, inner, case["milestones"])
    if "lambda" in case:
        names = case["lambda"]
        return cls(optimizer, LAMBDAS[names] if isinstance(names, str) else [LAMBDAS[n] for n in names])
    return cls(optimizer, **case["kwargs"])


def scheduler_records(log=print):
    for i, (case, lrs, optimizer_name, optimizer_kwargs) in enumerate(schedules()):
        try:
            groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
            optimizer = getattr(torch.optim, optimizer_name)(groups, lr=lrs[0], **optimizer_kwargs)
            scheduler = build({k: v for k, v in case.items() if k != "metric"}, optimizer)
            metric = METRICS[case["metric"]] if "metric" in case else None
            momenta = lambda: [g["betas"][0] if "betas" in g else g.get("momentum") for g in optimizer.param_groups]
            rates, momentum = [[g["lr"] for g in optimizer.param_groups]], [momenta()]
            for k in range(60):
                optimizer.step()
                scheduler.step(*([metric[k]] if metric else []))
                rates.append([g["lr"] for g in optimizer.param_groups])
                momentum.append(momenta())
            described = {key: value for key, value in case.items() if key != "metric"}
            if "kwargs" in described:
                described["kwargs"] = encode(described["kwargs"])
            if "schedulers" in described:
                described["schedulers"] = [{"class": s["class"], "kwargs": encode(s["kwargs"])} for s in described["schedulers"]]
            if "lambda" in case:
                names = [case["lambda"]] if isinstance(case["lambda"], str) else case["lambda"]
                described["lambda_table"] = {n: encode([LAMBDAS[n](e) for e in range(64)]) for n in names}
            record = {
                "id": f"{case['class']}#{i}",
                "scheduler": described,
                "optimizer": optimizer_name,
                "optimizer_kwargs": encode(optimizer_kwargs),
                "group_lrs": lrs,
                "steps": 60,
                "lr": encode(rates),
            }
            if metric:
                record["metric"] = encode(metric)
            if case["class"] in ("CyclicLR", "OneCycleLR"):
                record["momentum_or_beta1"] = encode(momentum)
            yield record
        except Exception as error:
            log(f"{case}: {error!r}"[:200])
