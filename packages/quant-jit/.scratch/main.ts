import * as q from '@proj/quant-jit';
console.log(Object.keys(q).length, Object.keys(q).join(' '));
