// Benchmarks: our devices and their peers side by side on the same work.
console.log('@proj/bench')
