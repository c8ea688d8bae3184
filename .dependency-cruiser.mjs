// What `npm run check:imports` holds lib/ to: no circle of imports, types included, and no import of a room from a room above it.

/** The rooms of lib/, the lowest first: a room imports from the rooms before it. */
const rooms = [
  "base",
  "kernel",
  "trace",
  "pci",
  "memory",
  "iommufd",
  "device",
  "container",
  "kvm",
  "vfio-user/protocol",
  "vfio-user/peer",
  "vfio-user/client",
  "vfio-user/device",
  "vfio-user/server",
  "vfio-user/devices",
  "vfio-user",
  "live-update",
  "doctor",
  "index.ts",
  "rig",
  "cli",
];

/** Matches the files of rooms; `vfio-user` itself has only the files that lie in it directly. */
function filesOf(names) {
  const patterns = names.map((name) => {
    if (name.endsWith(".ts")) return name.replaceAll(".", "\\.");
    return name === "vfio-user" ? `${name}/[^/]+` : `${name}/.+`;
  });
  return `^lib/(?:${patterns.join("|")})$`;
}

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-circle",
      comment: "Files that import each other cannot be read, or tested, one at a time.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    ...rooms.slice(0, -1).map((room, index) => ({
      name: `nothing-above-${room}`,
      comment: `${room} imports from the rooms before it in the list of rooms.`,
      severity: "error",
      from: { path: filesOf([room]) },
      to: { path: filesOf(rooms.slice(index + 1)) },
    })),
    {
      name: "every-file-in-a-room",
      comment: "A file of lib/ lies in a room of the list.",
      severity: "error",
      from: { path: "^lib/", pathNot: filesOf(rooms) },
      to: {},
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    // Imports of types count: TypeScript's own view, before it leaves them out.
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    includeOnly: "^lib/",
  },
};
