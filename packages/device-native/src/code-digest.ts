/** Which state of this package's code is running. */
declare const PROJ_CODE_DIGEST: string | undefined;

/** A digest of the package's sources, put in when it is built; undefined when the sources themselves are run, which may change at any time. */
export const codeDigest: string | undefined = typeof PROJ_CODE_DIGEST === 'undefined' ? undefined : PROJ_CODE_DIGEST;
