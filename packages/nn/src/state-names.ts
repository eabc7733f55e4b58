/** Names of fields in state dicts and where layers are printed. */

/** selfAttn → self_attn. */
export const stateName = (field: string): string =>
  field.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
