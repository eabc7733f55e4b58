/**
 * The compiler's inner loop in machine code, so that the threads of the runtime compile kernels side by side: contexts of LLVM share nothing,
 * and JavaScript has one thread. It makes the same calls as `LlvmLibrary.compile`, through a table of addresses.
 */

/** What the module exports: `(args, begin, end, part)`. */
export const COMPILE_SYMBOL = 'compile_jobs';

/** The functions of LLVM in the order of their table. */
export const COMPILE_FUNCTIONS = [
  'LLVMContextCreate',
  'LLVMContextDispose',
  'LLVMCreateMemoryBufferWithMemoryRangeCopy',
  'LLVMParseIRInContext',
  'LLVMCreateTargetDataLayout',
  'LLVMSetModuleDataLayout',
  'LLVMDisposeTargetData',
  'LLVMSetTarget',
  'LLVMVerifyModule',
  'LLVMDisposeMessage',
  'LLVMCreatePassBuilderOptions',
  'LLVMRunPasses',
  'LLVMDisposePassBuilderOptions',
  'LLVMTargetMachineEmitToMemoryBuffer',
  'LLVMDisposeModule',
] as const;

/** Layout of the parameters, in 8-byte slots. `machines` has a target machine for each part, since they cannot be shared. */
export const COMPILE_ARGS = { functions: 0, machines: 1, jobs: 2, passes: 3, triple: 4, name: 5, slots: 8 } as const;

/** Layout of a job. `stage` is how far it came (see {@link COMPILE_STAGES}); `message` is a C string, or an LLVMErrorRef where passes failed. */
export const COMPILE_JOB = { text: 0, length: 1, stage: 2, message: 3, buffer: 4, slots: 8 } as const;

/** Meanings of `stage`, by number: 0 is success. */
export const COMPILE_STAGES = ['', 'parsing', 'verification', 'optimisation', 'code generation'] as const;

/** The text of the module. */
export function compileIr(): string {
  const table = COMPILE_FUNCTIONS.map(
    (name, i) =>
      `  %at.${name} = getelementptr ptr, ptr %functions, i64 ${i}\n  %${name} = load ptr, ptr %at.${name}, align 8`,
  ).join('\n');
  const slot = (name: string, base: string, index: number, type: string): string =>
    `  %at.${name} = getelementptr i64, ptr ${base}, i64 ${index}\n  %${name} = load ${type}, ptr %at.${name}, align 8`;
  return `
define void @${COMPILE_SYMBOL}(ptr %args, i64 %begin, i64 %end, i64 %part) nounwind {
entry:
  %message = alloca ptr, align 8
  %result = alloca ptr, align 8
${slot('functions', '%args', COMPILE_ARGS.functions, 'ptr')}
${slot('machines', '%args', COMPILE_ARGS.machines, 'ptr')}
${slot('jobs', '%args', COMPILE_ARGS.jobs, 'ptr')}
${slot('passes', '%args', COMPILE_ARGS.passes, 'ptr')}
${slot('triple', '%args', COMPILE_ARGS.triple, 'ptr')}
${slot('name', '%args', COMPILE_ARGS.name, 'ptr')}
${slot('machine', '%machines', 0, 'ptr').replace('i64 0', 'i64 %part')}
${table}
  br label %each
each:
  %i = phi i64 [ %begin, %entry ], [ %i1, %next ]
  %o = mul i64 %i, ${COMPILE_JOB.slots}
  %job = getelementptr i64, ptr %jobs, i64 %o
${slot('text', '%job', COMPILE_JOB.text, 'ptr')}
${slot('length', '%job', COMPILE_JOB.length, 'i64')}
  store ptr null, ptr %message, align 8
  %context = call ptr %LLVMContextCreate()
  %source = call ptr %LLVMCreateMemoryBufferWithMemoryRangeCopy(ptr %text, i64 %length, ptr %name)
  %parsed = call i32 %LLVMParseIRInContext(ptr %context, ptr %source, ptr %result, ptr %message)
  %unparsed = icmp ne i32 %parsed, 0
  br i1 %unparsed, label %close, label %verify
verify:
  %module = load ptr, ptr %result, align 8
  %layout = call ptr %LLVMCreateTargetDataLayout(ptr %machine)
  call void %LLVMSetModuleDataLayout(ptr %module, ptr %layout)
  call void %LLVMDisposeTargetData(ptr %layout)
  call void %LLVMSetTarget(ptr %module, ptr %triple)
  %verified = call i32 %LLVMVerifyModule(ptr %module, i32 2, ptr %message)
  %invalid = icmp ne i32 %verified, 0
  br i1 %invalid, label %free, label %optimise
optimise:
  %empty = load ptr, ptr %message, align 8
  call void %LLVMDisposeMessage(ptr %empty)
  %options = call ptr %LLVMCreatePassBuilderOptions()
  %error = call ptr %LLVMRunPasses(ptr %module, ptr %passes, ptr %machine, ptr %options)
  call void %LLVMDisposePassBuilderOptions(ptr %options)
  store ptr %error, ptr %message, align 8
  %failed = icmp ne ptr %error, null
  br i1 %failed, label %free, label %emit
emit:
  %emitted = call i32 %LLVMTargetMachineEmitToMemoryBuffer(ptr %machine, ptr %module, i32 1, ptr %message, ptr %result)
  %unemitted = icmp ne i32 %emitted, 0
  br i1 %unemitted, label %free, label %done
done:
  %object = load ptr, ptr %result, align 8
  %at.buffer = getelementptr i64, ptr %job, i64 ${COMPILE_JOB.buffer}
  store ptr %object, ptr %at.buffer, align 8
  br label %free
free:
  %reached = phi i64 [ 2, %verify ], [ 3, %optimise ], [ 4, %emit ], [ 0, %done ]
  call void %LLVMDisposeModule(ptr %module)
  br label %close
close:
  %stage = phi i64 [ 1, %each ], [ %reached, %free ]
  call void %LLVMContextDispose(ptr %context)
  %said = load ptr, ptr %message, align 8
  %at.stage = getelementptr i64, ptr %job, i64 ${COMPILE_JOB.stage}
  store i64 %stage, ptr %at.stage, align 8
  %at.message = getelementptr i64, ptr %job, i64 ${COMPILE_JOB.message}
  store ptr %said, ptr %at.message, align 8
  br label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %end
  br i1 %more, label %each, label %out
out:
  ret void
}
`;
}
