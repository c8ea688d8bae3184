/**
 * What a container's mode makes of a device: its descriptor and how to undo the tie.
 *
 * @module
 */
import type { Attachment } from "../device/attachment.js";

/** The mode's own part of an {@link Attachment}. */
export type DeviceTie = Attachment;
