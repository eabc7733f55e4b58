/** Sizes for people. */
const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A size: 1.23 MB. */
export function describeBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}
