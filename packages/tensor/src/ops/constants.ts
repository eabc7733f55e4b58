/** Constants of torch: numbers, and dtypes by name. (`bool`, `float` and the other short names are casts here.) */

export const e = Math.E;
export const pi = Math.PI;
export const inf = Infinity;
export const nan = Number.NaN;
export const float16 = 'float16';
export const float32 = 'float32';
export const float64 = 'float64';
export const int8 = 'int8';
export const int16 = 'int16';
export const int32 = 'int32';
export const int64 = 'int64';
export const uint8 = 'uint8';
export const complex64 = 'complex64';
export const complex128 = 'complex128';
