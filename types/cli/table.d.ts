/** A column. */
export interface Column {
    readonly title: string;
    readonly align?: "left" | "right";
    /** It may be cut, down to so many characters. Left out: never. */
    readonly least?: number;
    /** What it is not cut below as long as there are columns to leave out instead. Left out: as `least`. */
    readonly good?: number;
    /** It may be left out: the highest goes first. Left out: never. */
    readonly drop?: number;
}
/** How many characters wide a text is on a terminal. */
export declare function visibleLength(text: string): number;
/** How wide each column is that is shown, by its number. */
export declare function fitColumns(columns: readonly Column[], natural: readonly number[], width: number): ReadonlyMap<number, number>;
/** What a table is made with. */
export interface TableOptions {
    /** In characters. */
    readonly width: number;
    /** Makes the titles stand out; without it there are none. */
    readonly head?: (text: string) => string;
    /** Long cells go on in the next line instead of being cut. */
    readonly wrap?: boolean;
}
/** Draws a table. */
export declare function drawTable(columns: readonly Column[], rows: readonly (readonly string[])[], { width, head, wrap }: TableOptions): string;
