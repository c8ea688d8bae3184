/** The programs of docs/write-a-device.md, as they stand there: they compile, and do what it says. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const text = readFileSync(join(root, "docs/write-a-device.md"), "utf8");
const [device = "", driver = ""] = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, program]) => program);

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "vfio-docs-"));
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  // The package by its files, under whatever name the text calls it.
  const here = (program: string) =>
    program
      .replaceAll('"vfio/user"', `"${root}dist/vfio-user/index.js"`)
      .replaceAll('"vfio"', `"${root}dist/index.js"`);
  writeFileSync(join(directory, "checksum.ts"), here(device));
  writeFileSync(join(directory, "drive.ts"), here(driver));
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  const options = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      rootDirs: [".", root],
      rootDir: "/",
      outDir: "out",
      noEmit: false,
      incremental: false,
      tsBuildInfoFile: null,
      declaration: false,
      declarationDir: null,
      // The types lie beside the compiled files, in a folder of their own.
      paths: { [`${root}dist/*`]: [`${root}types/*`] },
    },
    include: ["*.ts"],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(options));
  await run(process.execPath, [join(root, "node_modules/@typescript/native/bin/tsc"), "-p", directory]).catch(
    (error) => {
      throw new Error(`${error.stdout}`);
    },
  );
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

async function line(child: ChildProcess, pattern: RegExp): Promise<void> {
  let seen = "";
  for await (const chunk of child.stdout ?? []) {
    seen += chunk;
    if (pattern.test(seen)) return;
  }
  throw new Error(`it ended with: ${seen}`);
}

test("the device has at most 60 lines", () => {
  expect(device.split("\n").filter((each) => each.trim() !== "").length).toBeLessThanOrEqual(60);
});

test("the device computes checksums for the driver", { timeout: 60_000 }, async () => {
  const socket = join(directory, "socket");
  const program = (name: string) => join(directory, "out", directory, `${name}.js`);
  const server = spawn(process.execPath, [program("checksum"), socket], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    // It says nothing until somebody comes.
    let output = "";
    for (let attempt = 0; output === "" && attempt < 100; attempt++) {
      const drive = run(process.execPath, [program("drive"), socket], { timeout: 30_000 });
      output = await drive
        .then(({ stdout }) => stdout)
        .catch((error) => {
          if (!String(error.stderr).includes("ENOENT")) throw error;
          return "";
        });
    }
    expect(output).toBe("cbf43926\n");
    await line(server, /a client is there\nit is gone/);
  } finally {
    server.kill();
    await once(server, "exit");
  }
});
