/**
 * A pool for vitest whose worker lives in the rig's guest.
 *
 * Everything but the tests themselves stays on the host, at the host's speed: vitest, its configuration, the
 * transformation of TypeScript, the report. The guest, whose CPU is emulated, gets plain JavaScript over a pipe and sends
 * results back. It saves ten seconds and more of each run, and the results of all projects stand in one report.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import { PassThrough, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { PoolOptions, PoolRunnerInitializer, PoolWorker, WorkerRequest } from "vitest/node";
import { type RunInGuestOptions, runInGuest } from "../../lib/rig/index.js";
import { encodeMessage, MessageDecoder } from "./messages.mjs";

declare module "vitest" {
  export interface ProvidedContext {
    /** The machine of a project's guest, where it is not the rig's own: its setup provides it. */
    guest: Pick<RunInGuestOptions, "qemu" | "devices" | "env"> | undefined;
  }
}

const workerPath = fileURLToPath(new URL("./worker.mjs", import.meta.url));

/** What vitest tells a worker through its environment. */
const workerVariable = /^(VITEST.*|TEST|NODE_ENV|MODE|DEV|PROD|SSR|BASE_URL)$/;

class GuestPoolWorker implements PoolWorker {
  readonly name = "guest";
  // The guest caches the host's directories: files that vitest would write now, it would not find.
  readonly cacheFs = false;
  readonly #options: PoolOptions;
  readonly #events = new EventEmitter();
  readonly #abort = new AbortController();
  readonly #input = new PassThrough();
  #guest: Promise<void> | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  on(event: string, callback: (arg: unknown) => void): void {
    this.#events.on(event, callback);
  }

  off(event: string, callback: (arg: unknown) => void): void {
    this.#events.off(event, callback);
  }

  send(message: WorkerRequest): void {
    this.#input.write(encodeMessage(message));
  }

  deserialize(data: unknown): unknown {
    return data;
  }

  async start(): Promise<void> {
    const { execArgv, env, project } = this.#options;
    const { promise: online, resolve, reject } = withResolvers();
    const decoder = new MessageDecoder((message) => {
      if (message === "online") resolve();
      else this.#events.emit("message", message);
    });
    const { guest } = project.getProvidedContext();
    const run = runInGuest({
      ...guest,
      // What tests print, they and their children print on descriptors 1 and 2; results need one of their own.
      command: ["sh", "-c", 'exec "$@" 3>&1 1>&2', "sh", process.execPath, ...execArgv, workerPath],
      env: {
        ...Object.fromEntries(
          Object.entries(env).flatMap(([name, value]) =>
            value !== undefined && workerVariable.test(name) ? [[name, value]] : [],
          ),
        ),
        ...guest?.env,
      },
      stdin: this.#input,
      stdout: new Writable({
        write(chunk: Buffer, _encoding, done) {
          decoder.push(chunk);
          done();
        },
      }),
      stderr: project.vitest.logger.errorStream,
      signal: this.#abort.signal,
    });
    this.#guest = run.then(
      ({ exitCode }) => {
        reject(new Error(`The worker in the guest ended with exit code ${exitCode} before it was up`));
        this.#events.emit("exit", exitCode);
      },
      (error: unknown) => {
        reject(error);
        if (!this.#abort.signal.aborted) this.#events.emit("error", error);
      },
    );
    await online;
  }

  async stop(): Promise<void> {
    this.#input.end();
    this.#abort.abort();
    await this.#guest;
  }
}

function withResolvers() {
  let resolve = () => {};
  let reject = (_error: unknown) => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** The pool, for `test.pool` in vitest's configuration. */
export const guestPool: PoolRunnerInitializer = {
  name: "guest",
  createPoolWorker: (options) => new GuestPoolWorker(options),
};
