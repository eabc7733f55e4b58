/** Schedulers made of schedulers: one after the other, or all at once. */
import { ProjError } from '@proj/kernel';
import { LRScheduler, type ScheduledOptimizer, type SchedulerOptions, type SchedulerState } from './scheduler.ts';

function requireSameOptimizer(
  op: string,
  schedulers: readonly LRScheduler[],
  optimizer: ScheduledOptimizer | undefined,
): ScheduledOptimizer {
  const wanted = optimizer ?? schedulers[0]?.optimizer;
  if (wanted === undefined) throw new ProjError('invalid-argument', 'the list of schedulers is empty', { op });
  schedulers.forEach((scheduler, i) => {
    if (scheduler.optimizer !== wanted)
      throw new ProjError('invalid-argument', `scheduler ${i} belongs to another optimiser`, { op });
  });
  return wanted;
}

abstract class Combination extends LRScheduler {
  readonly schedulers: readonly LRScheduler[];
  constructor(optimizer: ScheduledOptimizer, schedulers: readonly LRScheduler[], options: SchedulerOptions = {}) {
    super(optimizer, options);
    this.schedulers = [...schedulers];
  }
  protected getLr(): number[] {
    return this.rates;
  }
  override stateDict(): SchedulerState {
    const { optimizer: _optimizer, schedulers, ...rest } = this as unknown as Record<string, unknown>;
    return { ...structuredClone(rest), schedulers: (schedulers as readonly LRScheduler[]).map((s) => s.stateDict()) };
  }
  override loadStateDict({ schedulers, ...rest }: SchedulerState): void {
    Object.assign(this, structuredClone(rest));
    (schedulers as readonly SchedulerState[]).forEach((state, i) => this.schedulers[i].loadStateDict(state));
  }
}

/** Each scheduler until its milestone, then the next, which starts at its epoch 0. */
export class SequentialLR extends Combination {
  readonly milestones: readonly number[];
  constructor(
    optimizer: ScheduledOptimizer,
    schedulers: readonly LRScheduler[],
    milestones: readonly number[],
    options: SchedulerOptions = {},
  ) {
    requireSameOptimizer('SequentialLR', schedulers, optimizer);
    if (milestones.length !== schedulers.length - 1)
      throw new ProjError('invalid-argument', `${schedulers.length} schedulers with ${milestones.length} milestones`, {
        op: 'SequentialLR',
        cure: 'There is one milestone between two schedulers',
      });
    super(optimizer, schedulers, options);
    this.milestones = [...milestones];
    this.lastEpoch++;
    // The constructors of the schedulers have each made a first step: only that of the first one holds.
    for (const group of optimizer.paramGroups) group.lr = group.initialLr ?? group.lr;
    for (const scheduler of schedulers) scheduler.lastEpoch--;
    schedulers[0].start();
    this.lastLr = schedulers[0].getLastLr();
  }
  override step(): void {
    this.lastEpoch++;
    const index = this.milestones.filter((milestone) => milestone <= this.lastEpoch).length;
    const scheduler = this.schedulers[index];
    if (index > 0 && this.milestones[index - 1] === this.lastEpoch) scheduler.step(0);
    else scheduler.step();
    this.lastLr = scheduler.getLastLr();
  }
}

/** All schedulers at each step, in order. */
export class ChainedScheduler extends Combination {
  constructor(schedulers: readonly LRScheduler[]) {
    super(requireSameOptimizer('ChainedScheduler', schedulers, undefined), schedulers);
    this.lastLr = this.rates;
  }
  override step(): void {
    for (const scheduler of this.schedulers) scheduler.step();
    this.lastLr = this.rates;
  }
}
