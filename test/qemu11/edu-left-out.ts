/**
 * Without QEMU 11.1 the rig is the usual one, whose edu is QEMU's: that would test something else.
 *
 * @module
 */
import { beforeEach, inject } from "vitest";

if (inject("guest") === undefined) beforeEach(({ skip }) => skip("there is no QEMU 11.1"));
