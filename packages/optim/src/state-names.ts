/** Between our camelCase names and the snake_case of PyTorch's state dicts. */

export type PlainValue = number | boolean | string | null | undefined;

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
export const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
