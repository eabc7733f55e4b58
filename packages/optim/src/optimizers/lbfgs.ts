/** L-BFGS (Liu and Nocedal 1989; two-loop recursion), with the stopping rules of minFunc that PyTorch uses. It reads values, so it cannot be captured. */
import { ProjError } from '@proj/kernel';
import { Tensor, tensor, zerosLike } from '@proj/tensor';
import { concatNode, wrap } from '@proj/tensor/graph';
import { requireRange } from '../checks.ts';
import {
  Optimizer,
  type ParameterState,
  type Params,
  type StateDictValue,
  withGradients,
  write,
} from '../optimizer.ts';
import { type LinePoint, strongWolfe } from './line-search.ts';

export interface LBFGSOptions {
  /** Default 1. */
  lr: number;
  /** Iterations in each step (default 20). */
  maxIter: number;
  /** Evaluations in each step (default 1.25 · maxIter). */
  maxEval: number;
  toleranceGrad: number;
  toleranceChange: number;
  /** Pairs of steps and gradient changes that are kept (default 100). */
  historySize: number;
  lineSearchFn: 'strong_wolfe' | null;
}

/** What is kept from step to step. Vectors are all parameters, flattened, one after the other. */
interface History {
  funcEvals: number;
  nIter: number;
  d: Tensor | null;
  t: number;
  /** Changes of the gradient. */
  oldDirs: Tensor[];
  /** Changes of the parameters. */
  oldStps: Tensor[];
  ro: number[];
  HDiag: number;
  al: number[];
  prevFlatGrad: Tensor | null;
  prevLoss: number;
}

const dot = (a: Tensor, b: Tensor): number => a.mul(b).sum().item();
/** Kept numbers are float32, as in PyTorch's state dict. */
const f32 = Math.fround;
const scalar = (x: number): Tensor => tensor(x, { dtype: 'float32' });
const largest = (a: Tensor): number => a.abs().amax().item();
const numberOf = (loss: unknown): number => (loss instanceof Tensor ? loss.item() : Number(loss));

/** `step(closure)` needs the closure, which clears the gradients, computes the loss and calls backward. One group of parameters only. */
export class LBFGS extends Optimizer<LBFGSOptions> {
  #history: History = {
    funcEvals: 0,
    nIter: 0,
    d: null,
    t: 0,
    oldDirs: [],
    oldStps: [],
    ro: [],
    HDiag: 1,
    al: [],
    prevFlatGrad: null,
    prevLoss: 0,
  };

  constructor(params: Params<LBFGSOptions>, options: Partial<LBFGSOptions> = {}) {
    const maxIter = options.maxIter ?? 20;
    super(
      params,
      {
        lr: 1,
        maxIter,
        toleranceGrad: 1e-7,
        toleranceChange: 1e-9,
        historySize: 100,
        lineSearchFn: null,
        maxEval: Math.floor((maxIter * 5) / 4),
      },
      options,
    );
    if (this.paramGroups.length !== 1)
      throw new ProjError('invalid-argument', 'LBFGS has one group of parameters only', { op: 'LBFGS' });
  }

  protected check({ lr, lineSearchFn }: LBFGSOptions): void {
    requireRange('LBFGS', 'lr', lr, 0);
    if (lineSearchFn !== null && lineSearchFn !== 'strong_wolfe')
      throw new ProjError('invalid-argument', `lineSearchFn is "${String(lineSearchFn)}"`, {
        op: 'LBFGS',
        cure: "Use 'strong_wolfe' or null",
      });
  }
  protected initialState(): Record<string, Tensor> {
    return {};
  }
  protected numbers(): Record<string, number> {
    return {};
  }
  protected update(): void {
    throw new ProjError('invalid-argument', 'LBFGS updates all parameters together', {
      op: 'LBFGS',
      cure: 'Call step(closure)',
    });
  }

  get #params(): readonly Tensor[] {
    return this.paramGroups[0].params;
  }
  #gradient(): Tensor {
    const parts = this.#params.map((p) => (p.grad === null ? zerosLike(p.detach()) : p.grad.detach()).reshape(-1));
    return (
      parts.length === 1
        ? parts[0].clone()
        : wrap(
            concatNode(
              parts.map((part) => part.node),
              0,
            ),
          )
    ).realize();
  }
  #move(t: number, direction: Tensor, from: readonly Tensor[] = this.#params.map((p) => p.detach())): void {
    let at = 0;
    this.#params.forEach((param, i) => {
      const value = param.detach();
      const size = value.numel();
      const part = direction.narrow(0, at, size).reshape(value.shape).mul(t);
      write(value, () => from[i].add(part));
      value.realize();
      at += size;
    });
  }

  override step(): never;
  override step<T>(closure: () => T): T;
  override step<T>(closure?: () => T): T {
    if (typeof closure !== 'function')
      throw new ProjError('invalid-argument', 'LBFGS needs a closure', {
        op: 'LBFGS.step',
        cure: 'Call step(() => { optimizer.zeroGrad(); const loss = …; loss.backward(); return loss; })',
      });
    return withGradients(false, () => this.#step(() => withGradients(true, closure)));
  }

  #step<T>(closure: () => T): T {
    const { lr, maxIter, maxEval, toleranceGrad, toleranceChange, lineSearchFn } = this.paramGroups[0];
    const history = this.#history;
    const first = closure();
    let loss = numberOf(first);
    let evaluations = 1;
    history.funcEvals++;
    let gradient = this.#gradient();
    if (largest(gradient) <= toleranceGrad) return first;

    for (let iteration = 1; iteration <= maxIter; iteration++) {
      history.nIter++;
      const d = (history.d = this.#direction(gradient));
      history.prevFlatGrad = gradient;
      history.prevLoss = loss;
      history.t = history.nIter === 1 ? Math.min(1, 1 / gradient.abs().sum().item()) * lr : lr;
      const slope = dot(gradient, d);
      if (slope > -toleranceChange) break;

      let used = 0;
      if (lineSearchFn === 'strong_wolfe') {
        const from = this.#params.map((p) => p.detach().clone().realize());
        const evaluate = (t: number): LinePoint<Tensor> => {
          this.#move(t, d, from);
          const f = numberOf(closure());
          const there = this.#gradient();
          return { t, f, slope: dot(there, d), gradient: there };
        };
        const { point, evaluations: count } = strongWolfe(
          { t: 0, f: loss, slope, gradient },
          history.t,
          largest(d),
          toleranceChange,
          evaluate,
        );
        this.#move(point.t, d, from);
        history.t = point.t;
        loss = point.f;
        gradient = point.gradient;
        used = count;
      } else {
        this.#move(history.t, d);
        // The value after the last iteration is not needed: the next step computes it anew.
        if (iteration !== maxIter) {
          loss = numberOf(closure());
          gradient = this.#gradient();
          used = 1;
        }
      }
      evaluations += used;
      history.funcEvals += used;
      if (evaluations >= maxEval || largest(gradient) <= toleranceGrad) break;
      if (Math.abs(history.t) * largest(d) <= toleranceChange || Math.abs(loss - history.prevLoss) < toleranceChange)
        break;
    }
    return first;
  }

  /** Minus the approximate inverse Hessian times the gradient; takes the last change into the history first. */
  #direction(gradient: Tensor): Tensor {
    const history = this.#history;
    const { historySize } = this.paramGroups[0];
    if (history.nIter === 1 || history.d === null || history.prevFlatGrad === null) return gradient.neg().realize();
    const change = gradient.sub(history.prevFlatGrad).realize();
    const moved = history.d.mul(history.t).realize();
    const curvature = dot(change, moved);
    if (curvature > 1e-10) {
      if (history.oldDirs.length === historySize) {
        history.oldDirs.shift();
        history.oldStps.shift();
        history.ro.shift();
      }
      history.oldDirs.push(change);
      history.oldStps.push(moved);
      history.ro.push(f32(1 / curvature));
      history.HDiag = f32(curvature / dot(change, change));
    }
    const { oldDirs, oldStps, ro, al } = history;
    let q = gradient.neg().realize();
    for (let i = oldDirs.length - 1; i >= 0; i--) {
      al[i] = f32(dot(oldStps[i], q) * ro[i]);
      q = q.sub(oldDirs[i].mul(al[i])).realize();
    }
    let r = q.mul(history.HDiag).realize();
    for (let i = 0; i < oldDirs.length; i++) r = r.add(oldStps[i].mul(al[i] - dot(oldDirs[i], r) * ro[i])).realize();
    return r;
  }

  override stateDict(): ReturnType<Optimizer<LBFGSOptions>['stateDict']> {
    const { param_groups } = super.stateDict();
    const { HDiag, ...rest } = this.#history;
    // PyTorch makes one place for each pair that may be kept, at the second iteration.
    const places = rest.nIter > 1 ? this.paramGroups[0].historySize : 0;
    const saved: Record<string, StateDictValue> = {
      func_evals: rest.funcEvals,
      n_iter: rest.nIter,
      d: rest.d,
      t: rest.t,
      old_dirs: rest.oldDirs,
      old_stps: rest.oldStps,
      ro: rest.ro.map(scalar),
      H_diag: scalar(HDiag),
      al: Array.from({ length: places }, (_, i) => (i < rest.al.length ? scalar(rest.al[i]) : null)),
      prev_flat_grad: rest.prevFlatGrad,
      prev_loss: rest.prevLoss,
    };
    return { state: rest.funcEvals === 0 ? {} : { 0: saved }, param_groups };
  }

  protected override loadState(entries: Record<string, StateDictValue>): ParameterState {
    const own = (value: StateDictValue): Tensor | null => (value instanceof Tensor ? tensor(value).clone() : null);
    const list = (value: StateDictValue): readonly StateDictValue[] =>
      Array.isArray(value) ? (value as readonly StateDictValue[]) : [];
    const tensors = (value: StateDictValue): Tensor[] => list(value).flatMap((x) => own(x) ?? []);
    const numbers = (value: StateDictValue): number[] =>
      list(value)
        .filter((x) => x !== null)
        .map(numberOf);
    this.#history = {
      funcEvals: numberOf(entries['func_evals'] ?? 0),
      nIter: numberOf(entries['n_iter'] ?? 0),
      d: own(entries['d']),
      t: numberOf(entries['t'] ?? 0),
      oldDirs: tensors(entries['old_dirs']),
      oldStps: tensors(entries['old_stps']),
      ro: numbers(entries['ro']),
      HDiag: numberOf(entries['H_diag'] ?? 1),
      al: numbers(entries['al']),
      prevFlatGrad: own(entries['prev_flat_grad']),
      prevLoss: numberOf(entries['prev_loss'] ?? 0),
    };
    return { step: 0, numbers: {}, tensors: {} };
  }
}
