import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { guestPool } from "./test/guest-pool/pool.js";
import { inRig, selectFiles } from "./test/rig/selection.js";

// The examples import the package by its names, as a user would; under vitest these names are the TypeScript sources.
const entries = { kvm: "kvm", "live-update": "live-update", pci: "pci", rig: "rig", user: "vfio-user" };
const source = (path: string) => fileURLToPath(new URL(`./lib/${path}`, import.meta.url));
const alias = [
  { find: /^vfio$/, replacement: source("index.ts") },
  ...Object.entries(entries).map(([name, room]) => ({ find: `vfio/${name}`, replacement: source(`${room}/index.ts`) })),
];

// `npm run rig -- npx vitest ...` is there already.
const inGuest = process.env.VFIO_RIG === "1";
const guest = { pool: guestPool, globalSetup: "test/guest-pool/setup.ts" };

export default defineConfig({
  resolve: { alias },
  test: {
    pool: "forks",
    execArgv: ["--expose-gc"],
    ...(inRig ? {} : { reporters: ["default", "./test/rig/left-out.ts"] }),
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: ["test/integration/rig/**"],
        },
      },
      // The rig itself, seen from the host: guests come and go, one at a time.
      {
        extends: true,
        test: {
          name: "guest",
          include: ["test/integration/rig/**/*.test.ts"],
          globalSetup: "test/guest-pool/setup.ts",
          fileParallelism: false,
          testTimeout: 120_000,
        },
      },
      // The emulator that has a vfio-user client, in front of devices of ours: guests come and go, one at a time.
      {
        extends: true,
        test: {
          name: "qemu11",
          include: ["test/qemu11/**/*.test.ts"],
          globalSetup: "test/qemu11/setup.ts",
          fileParallelism: false,
          testTimeout: 60_000,
        },
      },
      // The rig's tests of edu, on an edu of ours: the guest's kernel has it from QEMU's vfio-user client.
      {
        extends: true,
        test: {
          name: "qemu11-edu",
          include: ["test/rig/edu.test.ts"],
          pool: guestPool,
          globalSetup: "test/qemu11/edu-setup.ts",
          setupFiles: "test/qemu11/edu-left-out.ts",
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      // One guest, one set of devices: the files take turns, in one process, because a fork costs seconds under emulation.
      {
        extends: true,
        test: {
          name: "rig",
          // On a privileged host, with devices of its own, the tests run right here: those that fit.
          ...(inRig
            ? { include: ["test/rig/**/*.test.ts"], ...(inGuest ? {} : guest) }
            : { include: selectFiles().run.map((file) => `test/rig/${file}`) }),
          isolate: false,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
