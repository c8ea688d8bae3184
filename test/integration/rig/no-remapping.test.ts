/** A machine whose IOMMU does not remap interrupts: every mode refuses a device, and says that this is the reason. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runInGuest } from "../../../lib/rig/index.js";

const program = `
  import { containerModes, openContainer } from "vfio";
  import { bindDriver } from "vfio/pci";
  bindDriver("0000:00:02.0");
  const answers = containerModes.map((mode) => {
    const container = openContainer({ mode });
    try {
      container.attach("0000:00:02.0");
      return { mode };
    } catch ({ code, why, fix }) {
      return { mode, code, why, fix };
    } finally {
      container.close();
    }
  });
  console.log(JSON.stringify(answers));`;

test("without interrupt remapping every mode names it, and its own module's parameter", async () => {
  const { stdout, stderr } = await runInGuest({
    iommu: "virtio",
    cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    command: [process.execPath, "--input-type=module", "--eval", program],
  });
  const why = "the IOMMU does not remap interrupts, so that a device could raise any interrupt of the machine";
  const refusedBy = (mode: string, module: string) => ({
    mode,
    code: "EPERM",
    why,
    fix: expect.stringContaining(`/sys/module/${module}/parameters/allow_unsafe_interrupts`),
  });
  expect(stderr.toString()).toBe("");
  expect(JSON.parse(stdout.toString())).toEqual([
    refusedBy("type1", "vfio_iommu_type1"),
    refusedBy("type1v2", "vfio_iommu_type1"),
    refusedBy("compat-type1", "iommufd"),
    refusedBy("compat-type1v2", "iommufd"),
    refusedBy("iommufd", "iommufd"),
  ]);
});
