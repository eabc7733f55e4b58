// Conformance: case files recorded from PyTorch, run against our packages.
console.log('@proj/conformance')
