/** Counts and times of a server in the text format of Prometheus. */

type Labels = Readonly<Record<string, string>>;

const labelText = (labels: Labels): string => {
  const entries = Object.entries(labels);
  if (entries.length === 0) return '';
  return `{${entries.map(([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`))}"`).join(',')}}`;
};

interface Metric {
  lines(): string[];
}

/** A count that only rises, by labels. */
export class Counter implements Metric {
  readonly #name: string;
  readonly #help: string;
  readonly #values = new Map<string, number>();

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  add(count = 1, labels: Labels = {}): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + count);
  }

  lines(): string[] {
    const values = this.#values.size === 0 ? [['', 0] as const] : [...this.#values];
    return [
      `# HELP ${this.#name} ${this.#help}`,
      `# TYPE ${this.#name} counter`,
      ...values.map(([labels, value]) => `${this.#name}${labels} ${value}`),
    ];
  }
}

/** A value that is asked for. */
export class Gauge implements Metric {
  readonly #name: string;
  readonly #help: string;
  readonly #value: () => number;

  constructor(name: string, help: string, value: () => number) {
    this.#name = name;
    this.#help = help;
    this.#value = value;
  }

  lines(): string[] {
    return [`# HELP ${this.#name} ${this.#help}`, `# TYPE ${this.#name} gauge`, `${this.#name} ${this.#value()}`];
  }
}

/** How often values were at most each bound. */
export class Histogram implements Metric {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    this.#bounds.forEach((bound, i) => {
      if (value <= bound) this.#counts[i]++;
    });
  }

  lines(): string[] {
    return [
      `# HELP ${this.#name} ${this.#help}`,
      `# TYPE ${this.#name} histogram`,
      ...this.#bounds.map((bound, i) => `${this.#name}_bucket{le="${bound}"} ${this.#counts[i]}`),
      `${this.#name}_bucket{le="+Inf"} ${this.#count}`,
      `${this.#name}_sum ${this.#sum}`,
      `${this.#name}_count ${this.#count}`,
    ];
  }
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** What a server counts. */
export class ServerMetrics {
  readonly requests = new Counter('gemma2_requests_total', 'Requests by path and status.');
  readonly promptTokens = new Counter('gemma2_prompt_tokens_total', 'Tokens of prompts that were processed.');
  readonly rememberedTokens = new Counter(
    'gemma2_prompt_tokens_remembered_total',
    'Tokens of prompts that a slot still had from before.',
  );
  readonly generatedTokens = new Counter('gemma2_generated_tokens_total', 'Tokens that were generated.');
  readonly cancelled = new Counter('gemma2_cancelled_total', 'Requests whose client left before the end.');
  readonly firstToken = new Histogram(
    'gemma2_first_token_seconds',
    'From a request to its first token, waiting included.',
    SECONDS,
  );
  readonly step = new Histogram('gemma2_step_seconds', 'One step of the model.', SECONDS);
  readonly #gauges: readonly Gauge[];

  constructor(gauges: readonly Gauge[]) {
    this.#gauges = gauges;
  }

  /** All of it as text. */
  text(): string {
    const { requests, promptTokens, rememberedTokens, generatedTokens, cancelled, firstToken, step } = this;
    return [requests, promptTokens, rememberedTokens, generatedTokens, cancelled, firstToken, step, ...this.#gauges]
      .flatMap((metric) => [...metric.lines(), ''])
      .join('\n');
  }
}
