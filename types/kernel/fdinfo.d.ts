/**
 * A field of a descriptor of any process.
 *
 * @param path of the file in `fdinfo`
 * @returns undefined if this kind of file, or this kernel, has no such field
 * @throws the file system's error, if there is no such descriptor or it may not be looked at
 */
export declare function fdinfoField(path: string, field: string): string | undefined;
/** {@link fdinfoField} of a descriptor of this process. */
export declare function fdinfo(fd: number, field: string, proc?: string): string | undefined;
