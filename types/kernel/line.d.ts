/** Writes a line. A reader that has gone is no failure of the program's. */
export declare function writeLine(fd: number, line: string): void;
