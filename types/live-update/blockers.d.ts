import type { Blocker } from "../container/hand-over.js";
import type { OutgoingCarrier } from "./carrier.js";
import type { Plan } from "./plan.js";
/** Everything that stands in the way, of every object of the plan. */
export declare function findBlockers(plan: Plan, carrier: OutgoingCarrier | undefined): readonly Blocker[];
