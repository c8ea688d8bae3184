/** Whether this process is in the initial user namespace, so that its capabilities count for the host. */
export declare function isInitialUserNamespace(): boolean;
/** How a process without the permission gets it: the beginning of a fix. */
export declare function runAsRoot(): string;
