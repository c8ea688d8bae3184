/**
 * Where this package is.
 *
 * @module
 */

// A bundler that makes CommonJS of this leaves `import.meta` empty.
const here: string | undefined = import.meta.url;

/**
 * Its directory; undefined where a bundler has taken away this module's URL. In a bundle it is another directory. A module that needs a file of
 * the package asks here: in the published form many modules are one file, and only this one is as deep in it as it is in the sources.
 */
export const packageRoot: URL | undefined = here === undefined ? undefined : new URL("../..", here);
