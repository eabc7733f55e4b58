/**
 * The runtime in machine code, as LLVM IR: it runs a table of launches and splits large ones over a fork-join pool of threads.
 *
 * Terms: an *entry* is one launch (see {@link ENTRY}). It is split into *parts*, at most one for each thread. A *worker* is a thread other
 * than the caller, which is thread 0. Each worker has a mailbox on cache lines of its own: a 64-bit word (generation of the launch in 48 bits, number of
 * parts in 16) that the caller changes to offer parts, and a flag that says it sleeps.
 *
 * A part is run by whoever claims it first. Thread t tries part t first, so that consecutive launches find their data in the same core's
 * cache, then the others: a caller whose workers are slow to wake, or have no core to run on, does the work itself and waits only for parts
 * that have begun. `thread` in a kernel is the number of the part, which is run once. A claim writes the launch's generation into the part's
 * word if an older one stands there; a worker that comes too late finds its generation (or a newer one) everywhere and goes back to wait.
 * A successful claim also proves that the launch is not over, so that its description may be read.
 *
 * A part is a fixed share of the launch, or, where the launch names a *chunk*, whatever its thread can get: pieces of a share of what is left, ever smaller down to the
 * chunk, so that few are taken and threads end together even when one of them is slow (guided self-scheduling; Polychronopoulos and Kuck 1987).
 *
 * A launch with a chunk may say that it is a *stream*: that its items lie one after the other in memory and each is read once. Then a part begins with 7/8 of
 * an equal share, always the same, and only the rest is handed out piece by piece. While a worker has nothing to do it asks for the memory of its share of the next stream
 * in the table, so that memory is not idle while the caller runs what cannot be split. The caller publishes addresses only: one that is out of date costs a prefetch in vain.
 *
 * Workers spin for a while (longer while a table is running, since the next launch is near) and then sleep in the kernel (futex on Linux,
 * ulock on macOS). The caller spins, yields, then sleeps. Node never forks without executing another program, so the pool need not survive
 * a fork.
 */

import { PARTS_IR } from './runtime-parts-ir.ts';

/** What the module exports. */
export const RUNTIME_SYMBOLS = ['proj_run', 'proj_start', 'proj_stop'] as const;

/** Threads there can be, the caller included. */
export const MAX_THREADS = 256;

/** Spin limits, in pause instructions (20 to 50 ns each). */
export interface SpinLimits {
  /** A worker, while a table is running. */
  readonly active: number;
  /** A worker, after the table has ended. */
  readonly idle: number;
  /** The caller, waiting for the last part, before it starts to yield. */
  readonly join: number;
  /** Yields of the caller before it sleeps. */
  readonly yields: number;
}

/** What a worker asks for ahead of a stream at most: what second-level caches hold beside other things. */
const AHEAD_BYTES = 512 << 10;
/** Bytes that it asks for between two looks at its mailbox. */
const AHEAD_STEP = 512;
const LINE_BYTES = 64;

const LINUX_FUTEX_NUMBER = { x64: 202, arm64: 98 } as const;

/** Sleep until `address` differs from `expected` (spurious wake-ups allowed), and wake one sleeper. */
function sleepAndWake(platform: NodeJS.Platform, architecture: 'x64' | 'arm64'): string {
  if (platform === 'darwin') {
    return `
declare i32 @__ulock_wait(i32, ptr, i64, i32)
declare i32 @__ulock_wake(i32, ptr, i64)
define internal void @sleep_while(ptr %address, i32 %expected) nounwind {
  %wide = zext i32 %expected to i64
  %r = call i32 @__ulock_wait(i32 1, ptr %address, i64 %wide, i32 0)
  ret void
}
define internal void @wake(ptr %address) nounwind {
  %r = call i32 @__ulock_wake(i32 1, ptr %address, i64 0)
  ret void
}`;
  }
  const futex = LINUX_FUTEX_NUMBER[architecture];
  return `
declare i64 @syscall(i64, ...)
define internal void @sleep_while(ptr %address, i32 %expected) nounwind {
  %r = call i64 (i64, ...) @syscall(i64 ${futex}, ptr %address, i32 128, i32 %expected, ptr null, ptr null, i32 0)
  ret void
}
define internal void @wake(ptr %address) nounwind {
  %r = call i64 (i64, ...) @syscall(i64 ${futex}, ptr %address, i32 129, i32 1, ptr null, ptr null, i32 0)
  ret void
}`;
}

/** The runtime for a platform. */
export function runtimeIr(platform: NodeJS.Platform, architecture: 'x64' | 'arm64', spin: SpinLimits): string {
  const pause = architecture === 'arm64' ? '@llvm.aarch64.hint(i32 1)' : '@llvm.x86.sse2.pause()';
  const setMask = platform === 'darwin' ? 3 : 2;
  return `
declare void ${architecture === 'arm64' ? '@llvm.aarch64.hint(i32)' : '@llvm.x86.sse2.pause()'}
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sched_yield()
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
${sleepAndWake(platform, architecture)}

%Entry = type { ptr, ptr, i64, i64, i64, i64, i64, i64, i64 }
; The launch that is being split: an entry, and the number of parts.
@task = internal global { ptr, i64, [14 x i64] } zeroinitializer, align 128
@generation = internal global [16 x i64] zeroinitializer, align 128
; Launches with a chunk: items handed out so far.
@handed = internal global [16 x i64] zeroinitializer, align 128
; The next stream: its number, where it begins, bytes of a share, number of shares, bytes behind them.
@ahead = internal global [16 x i64] zeroinitializer, align 128
; Parts that are not finished; whether the caller sleeps on it.
@pending = internal global [32 x i32] zeroinitializer, align 128
@joining = internal global [32 x i32] zeroinitializer, align 128
; Whether a table is running; whether workers shall end.
@active = internal global [32 x i32] zeroinitializer, align 128
@stopping = internal global [32 x i32] zeroinitializer, align 128
; For each part, the generation that claimed it last.
@claims = internal global [${MAX_THREADS} x [8 x i64]] zeroinitializer, align 128
; Workers: [generation and parts, sleeping].
@mail = internal global [${MAX_THREADS} x [16 x i64]] zeroinitializer, align 128
@handles = internal global [${MAX_THREADS} x i64] zeroinitializer, align 128
@started = internal global i32 1, align 4

${PARTS_IR}

; Claims and runs parts, %first first, until none is left unclaimed.
define internal void @run_parts(i64 %first, i64 %g, i64 %parts) nounwind {
entry:
  %own = icmp ult i64 %first, %parts
  br i1 %own, label %try, label %scan
scan:
  br label %try
try:
  ; %k counts what was tried; the part is (first + k) mod parts, or k for a thread that has none of its own.
  %k = phi i64 [0, %entry], [0, %scan], [%k1, %next]
  %base = phi i64 [%first, %entry], [0, %scan], [%base, %next]
  %sum = add i64 %base, %k
  %beyond = icmp uge i64 %sum, %parts
  %wrapped = sub i64 %sum, %parts
  %p = select i1 %beyond, i64 %wrapped, i64 %sum
  %word = getelementptr [8 x i64], ptr @claims, i64 %p, i64 0
  %old = load atomic i64, ptr %word monotonic, align 8
  %open = icmp ugt i64 %g, %old
  br i1 %open, label %claim, label %next
claim:
  %pair = cmpxchg ptr %word, i64 %old, i64 %g acq_rel monotonic
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %run, label %next
run:
  call void @run_part(i64 %p)
  %before = atomicrmw sub ptr @pending, i32 1 seq_cst
  %last = icmp eq i32 %before, 1
  br i1 %last, label %tell, label %next
tell:
  %j = load atomic i32, ptr @joining seq_cst, align 4
  %sleeps = icmp ne i32 %j, 0
  br i1 %sleeps, label %rouse, label %next
rouse:
  call void @wake(ptr @pending)
  br label %next
next:
  %k1 = add i64 %k, 1
  %more = icmp ult i64 %k1, %parts
  br i1 %more, label %try, label %done
done:
  ret void
}

define internal ptr @worker(ptr %arg) nounwind {
entry:
  ; Signals belong to Node's own threads.
  %mask = alloca [16 x i64], align 16
  call void @llvm.memset.p0.i64(ptr %mask, i8 -1, i64 128, i1 false)
  %ms = call i32 @pthread_sigmask(i32 ${setMask}, ptr %mask, ptr null)
  %t = ptrtoint ptr %arg to i64
  %box = getelementptr [16 x i64], ptr @mail, i64 %t, i64 0
  %sleeping = getelementptr [16 x i64], ptr @mail, i64 %t, i64 1
  ; The stream that it asks for ahead, from where on, and how many bytes.
  %stream = alloca i64, align 8
  %cursor = alloca ptr, align 8
  %wanted = alloca i64, align 8
  store i64 0, ptr %stream, align 8
  store ptr null, ptr %cursor, align 8
  store i64 0, ptr %wanted, align 8
  br label %wait
wait:
  %seen = phi i64 [0, %entry], [%m, %go], [%seen, %awake]
  br label %spin
spin:
  %k = phi i32 [0, %wait], [%k1, %rest], [%k, %ask]
  %m = load atomic i64, ptr %box acquire, align 8
  %new = icmp ne i64 %m, %seen
  br i1 %new, label %work, label %look
look:
  %number = load atomic i64, ptr @ahead acquire, align 8
  %known = load i64, ptr %stream, align 8
  %same = icmp eq i64 %number, %known
  br i1 %same, label %wanting, label %fresh
fresh:
  store i64 %number, ptr %stream, align 8
  %a0 = load atomic i64, ptr getelementptr (i8, ptr @ahead, i64 8) monotonic, align 8
  %as = load atomic i64, ptr getelementptr (i8, ptr @ahead, i64 16) monotonic, align 8
  %an = load atomic i64, ptr getelementptr (i8, ptr @ahead, i64 24) monotonic, align 8
  %ar = load atomic i64, ptr getelementptr (i8, ptr @ahead, i64 32) monotonic, align 8
  %a1 = mul i64 %as, %t
  %a2 = add i64 %a0, %a1
  %ap = inttoptr i64 %a2 to ptr
  store ptr %ap, ptr %cursor, align 8
  ; What is handed out piece by piece lies behind the last share, and goes to who is first.
  %t1 = add i64 %t, 1
  %behind = icmp eq i64 %t1, %an
  %rest0 = select i1 %behind, i64 %ar, i64 0
  %w0 = add i64 %as, %rest0
  %w1 = call i64 @llvm.smin.i64(i64 %w0, i64 ${AHEAD_BYTES})
  %part = icmp ult i64 %t, %an
  %w2 = select i1 %part, i64 %w1, i64 0
  store i64 %w2, ptr %wanted, align 8
  br label %wanting
wanting:
  %w = load i64, ptr %wanted, align 8
  %some = icmp sgt i64 %w, 0
  br i1 %some, label %ask, label %rest
ask:
  %c = load ptr, ptr %cursor, align 8
${Array.from(
  { length: AHEAD_STEP / LINE_BYTES },
  (_, line) => `  %c${line} = getelementptr i8, ptr %c, i64 ${line * LINE_BYTES}
  call void @llvm.prefetch.p0(ptr %c${line}, i32 0, i32 2, i32 1)`,
).join('\n')}
  %after = getelementptr i8, ptr %c, i64 ${AHEAD_STEP}
  store ptr %after, ptr %cursor, align 8
  %w3 = sub i64 %w, ${AHEAD_STEP}
  store i64 %w3, ptr %wanted, align 8
  br label %spin
rest:
  call void ${pause}
  %k1 = add i32 %k, 1
  %running = load atomic i32, ptr @active monotonic, align 4
  %hot = icmp ne i32 %running, 0
  %limit = select i1 %hot, i32 ${spin.active}, i32 ${spin.idle}
  %more = icmp ult i32 %k1, %limit
  br i1 %more, label %spin, label %bed
bed:
  %x1 = atomicrmw xchg ptr %sleeping, i32 1 seq_cst
  %m2 = load atomic i64, ptr %box seq_cst, align 8
  %still = icmp eq i64 %m2, %seen
  br i1 %still, label %asleep, label %awake
asleep:
  ; Half of the word tells enough: one that comes round again costs this worker a launch, nothing else.
  %expected = trunc i64 %seen to i32
  call void @sleep_while(ptr %box, i32 %expected)
  br label %awake
awake:
  store atomic i32 0, ptr %sleeping release, align 4
  br label %wait
work:
  %stop = load atomic i32, ptr @stopping acquire, align 4
  %quit = icmp ne i32 %stop, 0
  br i1 %quit, label %out, label %go
go:
  %g = lshr i64 %m, 16
  %parts = and i64 %m, 65535
  call void @run_parts(i64 %t, i64 %g, i64 %parts)
  br label %wait
out:
  ret ptr null
}

; Offers worker %t the parts of a generation.
define internal void @post(i64 %t, i64 %letter) nounwind {
  %box = getelementptr [16 x i64], ptr @mail, i64 %t, i64 0
  %sleeping = getelementptr [16 x i64], ptr @mail, i64 %t, i64 1
  %x = atomicrmw xchg ptr %box, i64 %letter seq_cst
  %s = load atomic i32, ptr %sleeping seq_cst, align 4
  %asleep = icmp ne i32 %s, 0
  br i1 %asleep, label %up, label %done
up:
  call void @wake(ptr %box)
  br label %done
done:
  ret void
}

; The next generation with a number of parts, as a letter.
define internal i64 @next_letter(i64 %parts) nounwind {
  %old = load i64, ptr @generation, align 8
  %g = add i64 %old, 1
  store i64 %g, ptr @generation, align 8
  %upper = shl i64 %g, 16
  %letter = or i64 %upper, %parts
  ret i64 %letter
}

define internal void @fork_join(ptr %e, i64 %parts) nounwind {
entry:
  store ptr %e, ptr @task, align 8
  store i64 %parts, ptr getelementptr (i8, ptr @task, i64 8), align 8
  %share = call i64 @share_of(ptr %e, i64 %parts)
  %shares = mul i64 %share, %parts
  store i64 %shares, ptr @handed, align 8
  %count = trunc i64 %parts to i32
  store atomic i32 %count, ptr @pending release, align 4
  %letter = call i64 @next_letter(i64 %parts)
  br label %each
each:
  %t = phi i64 [1, %entry], [%t1, %each]
  call void @post(i64 %t, i64 %letter)
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %parts
  br i1 %more, label %each, label %mine
mine:
  %g = lshr i64 %letter, 16
  call void @run_parts(i64 0, i64 %g, i64 %parts)
  br label %join
join:
  %k = phi i32 [0, %mine], [%k1, %again]
  %p = load atomic i32, ptr @pending acquire, align 4
  %over = icmp eq i32 %p, 0
  br i1 %over, label %done, label %busy
busy:
  %k1 = add i32 %k, 1
  %spins = icmp ult i32 %k, ${spin.join}
  br i1 %spins, label %rest, label %slow
rest:
  call void ${pause}
  br label %again
slow:
  %yields = icmp ult i32 %k, ${spin.join + spin.yields}
  br i1 %yields, label %give, label %bed
give:
  %y = call i32 @sched_yield()
  br label %again
bed:
  %x = atomicrmw xchg ptr @joining, i32 1 seq_cst
  %p2 = load atomic i32, ptr @pending seq_cst, align 4
  %wait = icmp ne i32 %p2, 0
  br i1 %wait, label %asleep, label %awake
asleep:
  call void @sleep_while(ptr @pending, i32 %p2)
  br label %awake
awake:
  store atomic i32 0, ptr @joining seq_cst, align 4
  br label %again
again:
  br label %join
done:
  ret void
}

; Runs %count entries in order, each over at most %threads threads.
define void @proj_run(ptr %entries, i64 %count, i64 %threads) nounwind {
entry:
  store atomic i32 1, ptr @active monotonic, align 4
  call void @publish(ptr %entries, i64 0, i64 %count, i64 %threads)
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %done
each:
  %i = phi i64 [0, %entry], [%i1, %next]
  %e = getelementptr %Entry, ptr %entries, i64 %i
  %pb = getelementptr %Entry, ptr %e, i64 0, i32 2
  %begin = load i64, ptr %pb, align 8
  %pe = getelementptr %Entry, ptr %e, i64 0, i32 3
  %end = load i64, ptr %pe, align 8
  %n = sub i64 %end, %begin
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %split, label %next
split:
  %parts = call i64 @parts_of(ptr %e, i64 %threads)
  %many = icmp sgt i64 %parts, 1
  br i1 %many, label %fork, label %serial
fork:
  %ps = getelementptr %Entry, ptr %e, i64 0, i32 7
  %bytes = load i64, ptr %ps, align 8
  %stream = icmp sgt i64 %bytes, 0
  br i1 %stream, label %turn, label %go
turn:
  ; Workers that come back from this stream ask for the next.
  %after = add i64 %i, 1
  call void @publish(ptr %entries, i64 %after, i64 %count, i64 %threads)
  br label %go
go:
  call void @fork_join(ptr %e, i64 %parts)
  br label %next
serial:
  %code = load ptr, ptr %e, align 8
  %pa = getelementptr %Entry, ptr %e, i64 0, i32 1
  %args = load ptr, ptr %pa, align 8
  call void %code(ptr %args, i64 %begin, i64 %end, i64 0)
  br label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %each, label %done
done:
  store atomic i32 0, ptr @active monotonic, align 4
  ret void
}

; Starts workers until there are %n threads in all; answers how many there are.
define i32 @proj_start(i32 %n) nounwind {
entry:
  ; The same stack everywhere: some systems give threads as little as 128 KiB.
  %attributes = alloca [16 x i64], align 16
  %ai = call i32 @pthread_attr_init(ptr %attributes)
  %as = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 8388608)
  br label %check
check:
  %have = load i32, ptr @started, align 4
  %enough = icmp sge i32 %have, %n
  br i1 %enough, label %done, label %create
create:
  %t = zext i32 %have to i64
  %box = getelementptr [16 x i64], ptr @mail, i64 %t, i64 0
  store atomic i64 0, ptr %box seq_cst, align 8
  %h = getelementptr i64, ptr @handles, i64 %t
  %arg = inttoptr i64 %t to ptr
  %rc = call i32 @pthread_create(ptr %h, ptr %attributes, ptr @worker, ptr %arg)
  %ok = icmp eq i32 %rc, 0
  br i1 %ok, label %count, label %done
count:
  %have1 = add i32 %have, 1
  store i32 %have1, ptr @started, align 4
  br label %check
done:
  %total = load i32, ptr @started, align 4
  ret i32 %total
}

; Ends all workers.
define void @proj_stop() nounwind {
entry:
  store atomic i32 1, ptr @stopping seq_cst, align 4
  %have = load i32, ptr @started, align 4
  %n = zext i32 %have to i64
  %any = icmp sgt i64 %n, 1
  %letter = call i64 @next_letter(i64 0)
  br i1 %any, label %each, label %done
each:
  %t = phi i64 [1, %entry], [%t1, %each]
  call void @post(i64 %t, i64 %letter)
  %h = getelementptr i64, ptr @handles, i64 %t
  %handle = load i64, ptr %h, align 8
  %rc = call i32 @pthread_join(i64 %handle, ptr null)
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %n
  br i1 %more, label %each, label %done
done:
  store i32 1, ptr @started, align 4
  store atomic i32 0, ptr @stopping seq_cst, align 4
  ret void
}
`;
}
