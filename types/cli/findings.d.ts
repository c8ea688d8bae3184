import { type Output } from "./terminal.js";
/** One thing that was looked at. */
export interface Finding {
    /** One character, in its colour. */
    readonly mark: string;
    readonly title: string;
    readonly parts: readonly {
        readonly found: string;
        /** What to do about it. */
        readonly fix: string | undefined;
    }[];
}
/** Draws them. Nothing is cut; a line that is too long for its column (a command) begins further to the left. */
export declare function drawFindings(output: Output, findings: readonly Finding[]): string;
