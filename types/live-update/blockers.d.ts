/**
 * What keeps a hand-over from being made, found before anything is touched. Every object says what keeps it.
 *
 * @module
 */
import { type Blocker } from "../base/preserve.js";
import type { OutgoingCarrier } from "./carrier.js";
import type { Plan } from "./plan.js";
/** Everything that stands in the way, of every object of the plan. */
export declare function findBlockers(plan: Plan, carrier: OutgoingCarrier | undefined): readonly Blocker[];
