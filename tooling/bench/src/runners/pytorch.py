"""PyTorch on the CPU (Debian's python3-torch): `pytorch.py THREADS`, or `pytorch.py cold-start`.

Speaks the line protocol of ../protocol.ts. The environment (OpenMP build of OpenBLAS, OPENBLAS_CORETYPE) is set by the driver: those settings
are PyTorch's best on these machines. Adam runs without `foreach`, which is the faster way on a CPU.
"""
import json
import os
import resource
import sys
import time

if sys.argv[1:] == ['cold-start']:
    import torch
    print((torch.tensor([1.0, 2.0]) + torch.tensor([3.0, 4.0])).tolist())
    sys.exit(0)

THREADS = int(sys.argv[1])
SAMPLE_MS, WARM_MS, WARM_RUNS, SLOW_MS = 0.2, 150, 3, 1500


def send(message):
    # JSON has no NaN: it becomes null, as in JavaScript.
    def clean(value):
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(v) for v in value]
        return None if isinstance(value, float) and value != value else value
    print(json.dumps(clean(message)), flush=True)


try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except Exception as error:
    send({'op': 'missing', 'reason': str(error)})
    sys.exit(0)

torch.set_num_threads(THREADS)
torch.manual_seed(0)


def uniform(shape, seed):
    """The same values as `uniform` of ../inputs.ts."""
    length = int(np.prod(shape))
    start = (seed * 0x9E3779B1) & 0xFFFFFFFF
    h = np.arange(length, dtype=np.uint32) + np.uint32((start + 1) & 0xFFFFFFFF)
    h = h * np.uint32(0x9E3779B1)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) >> np.uint32(8)
    return torch.from_numpy((h.astype(np.float64) / 16777216 - 0.5).astype(np.float32)).reshape(shape)


def labels(length, classes, factor=7):
    return (torch.arange(length) * factor + 3) % classes


class Case:
    """What one run does, and what is worth knowing about it. `single`: the run is itself a measurement."""

    def __init__(self, run, output=None, detail=None, single=False):
        self.run, self.output, self.detail, self.single = run, output, detail or (lambda: {}), single


def forward(fn):
    return Case(fn, fn)


def resident():
    status = open('/proc/self/status').read()
    field = lambda name: int(status.split(name + ':')[1].split()[0]) / 1024
    return field('VmRSS'), field('VmHWM')


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.n1, self.n2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = (t.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for t in self.qkv(self.n1(x)).split(width, 2))
        scores = ((q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5).masked_fill(mask, float('-inf')).softmax(-1)
        x = x + self.out((scores @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary=256, width=256, heads=8, layers=4, length=128):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks, self.last = nn.ModuleList([Block(width, heads) for _ in range(layers)]), nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer('mask', torch.triu(torch.ones(length, length), 1).bool())

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.last(x))


class CharLSTM(nn.Module):
    def __init__(self, vocabulary=256, width=128):
        super().__init__()
        self.tokens, self.lstm = nn.Embedding(vocabulary, width), nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, vocabulary)

    def forward(self, ids):
        return self.out(self.lstm(self.tokens(ids))[0])


def mlp(sizes, batch):
    layers = []
    for i in range(len(sizes) - 1):
        layers += [nn.Linear(sizes[i], sizes[i + 1])] + ([nn.ReLU()] if i + 2 < len(sizes) else [])
    return nn.Sequential(*layers), uniform((batch, sizes[0]), 9), labels(batch, sizes[-1])


def model(name):
    if name == 'mlp':
        return mlp([784, 512, 512, 10], 128)
    if name == 'tiny':
        return mlp([4, 8, 2], 4)
    if name == 'small':
        return mlp([784, 128, 10], 32)
    if name == 'cnn':
        net = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
        return net, uniform((64, 1, 28, 28), 9), labels(64, 10)
    if name == 'gpt':
        return GPT(), labels(1024, 256, 37).reshape(8, 128), labels(1024, 256, 91)
    return CharLSTM(), labels(2048, 256, 37).reshape(32, 64), labels(2048, 256, 91)


def stepper(name):
    net, x, y = model(name)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, foreach=False)
    classes = {'gpt': 256, 'lstm': 256}.get(name)

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = net(x)
        loss = F.cross_entropy(logits if classes is None else logits.view(-1, classes), y)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def training(name):
    step, losses = stepper(name), []

    def run():
        losses[1:] = [step()] if losses else []
        if not losses:
            losses.append(step())
    return Case(run, detail=lambda: {'firstLoss': losses[0], 'lastLoss': losses[-1]} if losses else {})


def memory(name, early, late):
    found = {}

    def run():
        base = resident()[0]
        step = stepper(name)
        for i in range(1, late + 1):
            step()
            if i == early:
                found['earlyMB'] = resident()[0]
        now, peak = resident()
        found.update(baseMB=base, lateMB=now, peakMB=peak)
        if 'earlyMB' in found:
            found['growth'] = now / found['earlyMB'] - 1
    return Case(run, detail=lambda: dict(found), single=True)


def chain(spec):
    a = uniform((spec['elements'],), 1)
    b, c = (uniform((spec['elements'],), 2), uniform((spec['elements'],), 3)) if spec['inputs'] == 3 else (1.5, 0.25)
    return lambda: torch.sqrt(torch.abs(torch.relu(a * b + c) * 0.5 - a))


def prepare(spec):
    kind = spec['kind']
    if kind == 'matmul':
        a, b = uniform((spec['m'], spec['k']), 1), uniform((spec['k'], spec['n']), 2)
        return forward(lambda: a @ b)
    if kind == 'chain':
        return forward(chain(spec))
    if kind == 'exp':
        x = uniform((spec['elements'],), 1)
        return forward(lambda: torch.exp(x))
    if kind == 'memcpy':
        source, target = torch.ones(spec['bytes'] // 4), torch.zeros(spec['bytes'] // 4)
        return Case(lambda: target.copy_(source))
    if kind in ('softmax', 'layer-norm', 'cross-entropy'):
        rows, columns = spec['rows'], spec['columns']
        x = uniform((rows, columns), 1)
        if kind == 'softmax':
            return forward(lambda: torch.softmax(x, -1))
        if kind == 'layer-norm':
            w, b = uniform((columns,), 2), uniform((columns,), 3)
            return forward(lambda: F.layer_norm(x, (columns,), w, b))
        y = labels(rows, columns)
        return forward(lambda: F.cross_entropy(x, y))
    if kind == 'conv2d':
        x = uniform((spec['batch'], spec['channels'], spec['size'], spec['size']), 1)
        w = uniform((spec['filters'], spec['channels'] // spec['groups'], spec['kernel'], spec['kernel']), 2)
        return forward(lambda: F.conv2d(x, w, stride=spec['stride'], padding=spec['padding'], groups=spec['groups']))
    if kind == 'train':
        return training(spec['model'])
    if kind == 'tiny-step':
        return training('tiny')
    if kind == 'tiny-graph':
        a, b = uniform((16,), 1), uniform((16,), 2)
        return Case(lambda: ((a + b) * a).sum().item())
    if kind == 'memory-steps':
        return memory('small', spec['early'], spec['late'])
    if kind == 'memory-gpt':
        return memory('gpt', -1, spec['steps'])
    raise ValueError("PyTorch has no '%s'" % kind)


def needs_gradient(spec):
    return spec['kind'] in ('train', 'tiny-step', 'memory-steps', 'memory-gpt')


def time_batch(case, batch):
    run, began = case.run, time.perf_counter()
    for _ in range(batch):
        run()
    return (time.perf_counter() - began) * 1e3


def warm_up(case):
    if case.single:
        return {'check': [], 'firstMs': 0, 'detail': {}}, 1
    first = time_batch(case, 1)
    flat = case.output().reshape(-1) if case.output else torch.empty(0)
    check = [float(flat[int((i + 0.5) * len(flat) / 8)]) for i in range(8)] if len(flat) else []
    began, runs = time.perf_counter(), 1
    while first < SLOW_MS and (runs < WARM_RUNS or (time.perf_counter() - began) * 1e3 < WARM_MS):
        case.run()
        runs += 1
    once = time_batch(case, 1) or 1e-4
    return {'check': check, 'firstMs': first, 'detail': case.detail()}, max(1, int(-(-SAMPLE_MS // once)))


def cpu_ms():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e3


def measure(case, batch, min_ms, max_runs):
    times, cpu, began = [], cpu_ms(), time.perf_counter()
    while True:
        times.append(time_batch(case, batch) / batch)
        if case.single or len(times) >= max_runs or (time.perf_counter() - began) * 1e3 >= min_ms:
            break
    return {'times': times, 'batch': batch, 'cpuMs': cpu_ms() - cpu, 'detail': case.detail()}


blas = 'openmp' if 'openblas-openmp' in os.environ.get('LD_LIBRARY_PATH', '') else 'system'
send({'op': 'hello', 'version': torch.__version__, 'detail': {'blas': blas, 'core': os.environ.get('OPENBLAS_CORETYPE', 'detected')}})
current, size = None, 1
for line in sys.stdin:
    request = json.loads(line)
    reply = {'op': 'ok', 'id': request['id'], 'result': None}
    try:
        if request['op'] == 'prepare':
            current = None
            torch.set_grad_enabled(needs_gradient(request['spec']))
            current = prepare(request['spec'])
            reply['result'], size = warm_up(current)
        elif request['op'] == 'run':
            reply['result'] = measure(current, size, request['minMs'], request['maxRuns'])
        else:
            current = None
    except Exception as error:
        reply = {'op': 'error', 'id': request['id'], 'message': '%s: %s' % (type(error).__name__, error)}
    send(reply)
