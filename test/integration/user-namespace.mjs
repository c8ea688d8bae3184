// What the package says of the locked-memory limit, and what the kernel does about it, as one line of JSON.
// user-namespace.test.ts starts it in several namespaces.
import { DmaBuffer, diagnose, lockedMemory } from "../../dist/index.js";
import { runAsRoot } from "../../dist/kernel/user-namespace.js";

/** @param {() => unknown} act */
function refusal(act) {
  try {
    act();
    return undefined;
  } catch (error) {
    return { code: error.code, fix: error.fix };
  }
}

const { limit, binding } = lockedMemory();
const locking = refusal(() => DmaBuffer.allocate(2 * limit, { backing: "anonymous", locked: true }).close());
const memlock = diagnose().checks.find(({ id }) => id === "memlock");
console.log(JSON.stringify({ limit, binding, locking, memlock, advice: runAsRoot() }));
