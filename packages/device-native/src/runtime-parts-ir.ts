/**
 * Which items of a launch its threads run, in machine code: the layout of a launch, how many parts it has, shares that are fixed and pieces that are
 * handed out, and where the next stream lies. `runtime-ir.ts` says why, and has the threads.
 */

/** Layout of an entry, in 8-byte slots. Streams: bytes of an item, 0 for other launches, and which argument it is. */
export const ENTRY = {
  code: 0,
  args: 1,
  begin: 2,
  end: 3,
  grain: 4,
  align: 5,
  chunk: 6,
  streamBytes: 7,
  stream: 8,
  slots: 9,
} as const;

/** Functions of the runtime's module; they use its globals. */
export const PARTS_IR = `; Items that part of a launch with a chunk begins with: of streams 7/8 of an equal share in whole units, unless that is less than a chunk.
define internal i64 @share_of(ptr %e, i64 %parts) nounwind {
  %pb = getelementptr %Entry, ptr %e, i64 0, i32 2
  %begin = load i64, ptr %pb, align 8
  %pe = getelementptr %Entry, ptr %e, i64 0, i32 3
  %end = load i64, ptr %pe, align 8
  %pl = getelementptr %Entry, ptr %e, i64 0, i32 5
  %align = load i64, ptr %pl, align 8
  %pc = getelementptr %Entry, ptr %e, i64 0, i32 6
  %chunk = load i64, ptr %pc, align 8
  %ps = getelementptr %Entry, ptr %e, i64 0, i32 7
  %bytes = load i64, ptr %ps, align 8
  %n = sub i64 %end, %begin
  %n7 = mul i64 %n, 7
  %p8 = mul i64 %parts, 8
  %s0 = udiv i64 %n7, %p8
  %s1 = udiv i64 %s0, %align
  %s2 = mul i64 %s1, %align
  %stream = icmp sgt i64 %bytes, 0
  %enough = icmp sge i64 %s2, %chunk
  %both = and i1 %stream, %enough
  %share = select i1 %both, i64 %s2, i64 0
  ret i64 %share
}

; Part %t of the current task.
define internal void @run_part(i64 %t) nounwind {
entry:
  %e = load ptr, ptr @task, align 8
  %parts = load i64, ptr getelementptr (i8, ptr @task, i64 8), align 8
  %code = load ptr, ptr %e, align 8
  %pa = getelementptr %Entry, ptr %e, i64 0, i32 1
  %args = load ptr, ptr %pa, align 8
  %pb = getelementptr %Entry, ptr %e, i64 0, i32 2
  %begin = load i64, ptr %pb, align 8
  %pe = getelementptr %Entry, ptr %e, i64 0, i32 3
  %end = load i64, ptr %pe, align 8
  %pl = getelementptr %Entry, ptr %e, i64 0, i32 5
  %align = load i64, ptr %pl, align 8
  %pc = getelementptr %Entry, ptr %e, i64 0, i32 6
  %chunk = load i64, ptr %pc, align 8
  %dynamic = icmp sgt i64 %chunk, 0
  br i1 %dynamic, label %first, label %fixed
fixed:
  %n = sub i64 %end, %begin
  %n1 = add i64 %n, %align
  %n2 = sub i64 %n1, 1
  %units = udiv i64 %n2, %align
  %m0 = mul i64 %units, %t
  %u0 = udiv i64 %m0, %parts
  %t1 = add i64 %t, 1
  %m1 = mul i64 %units, %t1
  %u1 = udiv i64 %m1, %parts
  %o0 = mul i64 %u0, %align
  %o1 = mul i64 %u1, %align
  %b = add i64 %begin, %o0
  %f0 = add i64 %begin, %o1
  %fc = icmp slt i64 %f0, %end
  %f = select i1 %fc, i64 %f0, i64 %end
  %some = icmp slt i64 %b, %f
  br i1 %some, label %call, label %done
call:
  call void %code(ptr %args, i64 %b, i64 %f, i64 %t)
  br label %done
first:
  %share = call i64 @share_of(ptr %e, i64 %parts)
  %shares = icmp sgt i64 %share, 0
  br i1 %shares, label %own, label %claim
own:
  %q0 = mul i64 %share, %t
  %qb = add i64 %begin, %q0
  %qe = add i64 %qb, %share
  call void %code(ptr %args, i64 %qb, i64 %qe, i64 %t)
  br label %claim
claim:
  %h = load atomic i64, ptr @handed monotonic, align 8
  br label %offer
offer:
  %o = phi i64 [%h, %claim], [%seen, %raced]
  %cb = add i64 %begin, %o
  %left = sub i64 %end, %cb
  %some2 = icmp sgt i64 %left, 0
  br i1 %some2, label %measure, label %done
measure:
  ; 7/8 of an equal share of what is left, in whole units, and not less than a chunk.
  %l7 = mul i64 %left, 7
  %p8 = mul i64 %parts, 8
  %s0 = udiv i64 %l7, %p8
  %s1 = udiv i64 %s0, %align
  %s2 = mul i64 %s1, %align
  %large = icmp sgt i64 %s2, %chunk
  %s3 = select i1 %large, i64 %s2, i64 %chunk
  %last = icmp slt i64 %left, %s3
  %size = select i1 %last, i64 %left, i64 %s3
  %after = add i64 %o, %size
  %pair = cmpxchg ptr @handed, i64 %o, i64 %after monotonic monotonic
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %piece, label %raced
raced:
  %seen = extractvalue { i64, i1 } %pair, 0
  br label %offer
piece:
  %ce = add i64 %cb, %size
  call void %code(ptr %args, i64 %cb, i64 %ce, i64 %t)
  br label %claim
done:
  ret void
}

; Parts that a launch is split into.
define internal i64 @parts_of(ptr %e, i64 %threads) nounwind {
  %pb = getelementptr %Entry, ptr %e, i64 0, i32 2
  %begin = load i64, ptr %pb, align 8
  %pe = getelementptr %Entry, ptr %e, i64 0, i32 3
  %end = load i64, ptr %pe, align 8
  %pg = getelementptr %Entry, ptr %e, i64 0, i32 4
  %grain = load i64, ptr %pg, align 8
  %n = sub i64 %end, %begin
  %fit = udiv i64 %n, %grain
  %c = icmp ult i64 %fit, %threads
  %parts = select i1 %c, i64 %fit, i64 %threads
  ret i64 %parts
}

; Publishes the first stream from entry %from on that is split, or none.
define internal void @publish(ptr %entries, i64 %from, i64 %count, i64 %threads) nounwind {
entry:
  br label %each
each:
  %i = phi i64 [%from, %entry], [%i1, %skip]
  %there = icmp slt i64 %i, %count
  br i1 %there, label %look, label %none
look:
  %e = getelementptr %Entry, ptr %entries, i64 %i
  %ps = getelementptr %Entry, ptr %e, i64 0, i32 7
  %bytes = load i64, ptr %ps, align 8
  %stream = icmp sgt i64 %bytes, 0
  br i1 %stream, label %split, label %skip
split:
  %parts = call i64 @parts_of(ptr %e, i64 %threads)
  %many = icmp sgt i64 %parts, 1
  br i1 %many, label %tell, label %skip
skip:
  %i1 = add i64 %i, 1
  br label %each
tell:
  %pa = getelementptr %Entry, ptr %e, i64 0, i32 1
  %args = load ptr, ptr %pa, align 8
  %pw = getelementptr %Entry, ptr %e, i64 0, i32 8
  %which = load i64, ptr %pw, align 8
  %slot = getelementptr i64, ptr %args, i64 %which
  %base = load i64, ptr %slot, align 8
  %pb = getelementptr %Entry, ptr %e, i64 0, i32 2
  %begin = load i64, ptr %pb, align 8
  %pe = getelementptr %Entry, ptr %e, i64 0, i32 3
  %end = load i64, ptr %pe, align 8
  %share = call i64 @share_of(ptr %e, i64 %parts)
  %skipped = mul i64 %begin, %bytes
  %first = add i64 %base, %skipped
  %step = mul i64 %share, %bytes
  %shares = mul i64 %share, %parts
  %n = sub i64 %end, %begin
  %left = sub i64 %n, %shares
  %tail = mul i64 %left, %bytes
  br label %write
none:
  br label %write
write:
  %w1 = phi i64 [%first, %tell], [0, %none]
  %w2 = phi i64 [%step, %tell], [0, %none]
  %w3 = phi i64 [%parts, %tell], [0, %none]
  %w4 = phi i64 [%tail, %tell], [0, %none]
  store atomic i64 %w1, ptr getelementptr (i8, ptr @ahead, i64 8) monotonic, align 8
  store atomic i64 %w2, ptr getelementptr (i8, ptr @ahead, i64 16) monotonic, align 8
  store atomic i64 %w3, ptr getelementptr (i8, ptr @ahead, i64 24) monotonic, align 8
  store atomic i64 %w4, ptr getelementptr (i8, ptr @ahead, i64 32) monotonic, align 8
  %old = load i64, ptr @ahead, align 8
  %number = add i64 %old, 1
  store atomic i64 %number, ptr @ahead release, align 8
  ret void
}
`;
