import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { VfioError } from "../../../lib/base/errors.js";
import { bindDriver, formerDriver, planBinding, planRelease, setNumVfs } from "../../../lib/pci/index.js";
import { errorOf } from "../../helpers/refusal.js";
import { Tree } from "./tree.js";

const address = "0000:01:00.0";
const override = `sys/bus/pci/devices/${address}/driver_override`;

describe("a plan", () => {
  test("from a driver to vfio-pci: unbind, override, bind, and how to undo each", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    const step = (path: string, value: string, undoPath: string, undoValue: string) => ({
      path: tree.at(path),
      value,
      undo: { path: tree.at(undoPath), value: undoValue },
    });
    const drivers = "sys/bus/pci/drivers";
    expect(planBinding("01:00.0", tree.paths)).toEqual({
      address,
      from: "igb",
      to: "vfio-pci",
      steps: [
        step(`${drivers}/igb/unbind`, address, `${drivers}/igb/bind`, address),
        step(override, "vfio-pci", override, ""),
        step(`${drivers}/vfio-pci/bind`, address, `${drivers}/vfio-pci/unbind`, address),
      ],
      uses: [],
    });
  });

  test("from no driver, with an override to be given back", () => {
    using tree = new Tree();
    tree.pci(address, { group: 8, attributes: { driver_override: "igb" } });
    const { from, steps } = planBinding(address, tree.paths);
    expect(from).toBeUndefined();
    expect(steps.map(({ path, undo }) => [path, undo.value])).toEqual([
      [tree.at(override), "igb"],
      [tree.at("sys/bus/pci/drivers/vfio-pci/bind"), address],
    ]);
  });

  test("from a driver that the override does not name: the override names it before and after", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8, attributes: { driver_override: "gone" } });
    const writes = (name: "vfio-pci" | null) => planBinding(address, { ...tree.paths, driver: name }).steps;
    const short = ({ path, value }: { path: string; value: string }) =>
      path === tree.at(override) ? `override ${value}` : path.split("/").slice(-2).join(" ");
    expect(writes("vfio-pci").map(short)).toEqual(["override igb", "igb unbind", "override vfio-pci", "vfio-pci bind"]);
    expect(
      writes("vfio-pci")
        .toReversed()
        .map(({ undo }) => short(undo)),
    ).toEqual(["vfio-pci unbind", "override igb", "igb bind", "override gone"]);
    expect(writes(null).map(short)).toEqual(["override igb", "igb unbind", "override gone"]);
  });

  test("to no driver: unbind only", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb" });
    const { to, steps } = planBinding(address, { ...tree.paths, driver: null });
    expect(to).toBeUndefined();
    expect(steps.map(({ path }) => path)).toEqual([tree.at("sys/bus/pci/drivers/igb/unbind")]);
  });

  test("to the driver that is bound already: nothing, even if the device is in use", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", attributes: { sriov_numvfs: "1" } });
    const options = { ...tree.paths, driver: "igb" };
    expect(planBinding(address, options)).toMatchObject({ from: "igb", to: "igb", steps: [], uses: [] });
    const binding = bindDriver(address, options);
    expect(binding.active).toBe(false);
    binding.restore();
  });

  test("a device, a driver and an IOMMU that are not there", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb" });
    expect(errorOf(() => planBinding("05:00.0", tree.paths))).toMatchObject({ code: "ENODEV", why: /no such device/ });
    expect(errorOf(() => planBinding(address, tree.paths))).toMatchObject({ code: "ENODEV", fix: /intel_iommu=on/ });
    expect(errorOf(() => planBinding(address, { ...tree.paths, driver: "no-such" }))).toMatchObject({
      code: "ENOENT",
      fix: /modprobe no-such/,
    });
    expect(errorOf(() => planBinding(address, { ...tree.paths, driver: "../../x" }))).toMatchObject({
      code: "ERR_INVALID_ARG_VALUE",
    });
  });

  test("a device without an IOMMU, where VFIO would do without", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb" });
    tree.file("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    expect(errorOf(() => planBinding(address, tree.paths))).toMatchObject({ code: "ENODEV", why: /no-IOMMU.*refused/ });
    // Somebody else has bound it, and VFIO has made a group up.
    tree.pci(address, { driver: "vfio-pci", group: 0 });
    tree.file("sys/class/vfio/noiommu-0/dev", "1:3\n");
    expect(errorOf(() => planBinding(address, tree.paths))).toMatchObject({ code: "ENODEV", why: /no-IOMMU.*refused/ });
    expect(planBinding(address, { ...tree.paths, driver: "igb" }).steps).toHaveLength(3);
  });

  test("vfio-pci that is not loaded", () => {
    using tree = new Tree();
    tree.pci(address, { group: 8 });
    tree.remove("sys/bus/pci/drivers/vfio-pci");
    expect(errorOf(() => planBinding(address, tree.paths))).toMatchObject({
      code: "ENOENT",
      fix: /modprobe vfio-pci.*CONFIG_VFIO_PCI/,
    });
  });
});

describe("binding", () => {
  test("does what the plan says, and restores it", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    const binding = bindDriver("01:00.0", tree.paths);
    expect(binding).toMatchObject({ address, driver: "vfio-pci", previousDriver: "igb", active: true });
    expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe(address);
    expect(tree.firstLine(override)).toBe("vfio-pci");
    expect(tree.firstLine("sys/bus/pci/drivers/vfio-pci/bind")).toBe(address);

    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    binding.restore();
    expect(tree.firstLine("sys/bus/pci/drivers/vfio-pci/unbind")).toBe(address);
    expect(tree.firstLine(override)).toBe("");
    expect(tree.firstLine("sys/bus/pci/drivers/igb/bind")).toBe(address);
    expect(binding.active).toBe(false);
  });

  test("a device in use is refused with the reason, and nothing is written; force takes it", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8, attributes: { sriov_numvfs: "2" } });
    const error = errorOf(() => bindDriver(address, tree.paths));
    expect(error).toMatchObject({
      name: "VfioError",
      code: "EBUSY",
      object: address,
      why: /2 virtual functions/,
      fix: /force/,
    });
    expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe("");
    expect(bindDriver(address, { ...tree.paths, force: true }).active).toBe(true);
  });

  test("a failing step is undone in reverse, and the error is the step's", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    // A directory cannot be opened for writing, not even by root.
    tree.replaceByDirectory("sys/bus/pci/drivers/vfio-pci/bind");
    const error = errorOf(() => bindDriver(address, tree.paths));
    expect(error).toMatchObject({
      code: "EISDIR",
      object: address,
      path: tree.at("sys/bus/pci/drivers/vfio-pci/bind"),
    });
    expect(tree.firstLine(override)).toBe("");
    expect(tree.firstLine("sys/bus/pci/drivers/igb/bind")).toBe(address);
  });

  test("an undoing that fails too does not hide the first error, nor stop the rest", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    tree.replaceByDirectory("sys/bus/pci/drivers/vfio-pci/bind");
    tree.replaceByDirectory("sys/bus/pci/drivers/igb/bind");
    const error = errorOf(() => bindDriver(address, tree.paths));
    expect(error).toMatchObject({ code: "EISDIR", path: tree.at("sys/bus/pci/drivers/vfio-pci/bind") });
    expect(error.message).toMatch(/undoing the earlier steps failed too \(EISDIR\)/);
    expect(error.cause).toBeInstanceOf(AggregateError);
    expect(error.cause instanceof AggregateError ? error.cause.errors : []).toEqual([
      expect.any(VfioError),
      expect.objectContaining({ path: tree.at("sys/bus/pci/drivers/igb/bind") }),
    ]);
    expect(tree.firstLine(override)).toBe("");
  });

  test("a file that is missing is found before the first write", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    tree.remove("sys/bus/pci/drivers/vfio-pci/bind");
    expect(errorOf(() => bindDriver(address, tree.paths))).toMatchObject({ code: "ENOENT" });
    expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe("");
  });

  test("restoring a device that is gone, or that somebody restored, is nothing to complain about", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    tree.pci("0000:03:00.0", { group: 9 });
    const restored = bindDriver(address, tree.paths);
    const gone = bindDriver("03:00.0", tree.paths);
    // In this tree the driver link is still igb's; our name in driver_override is cleared, and no driver is touched.
    restored.restore();
    expect(restored.active).toBe(false);
    expect(tree.firstLine(override)).toBe("");
    expect(tree.firstLine("sys/bus/pci/drivers/igb/bind")).toBe("");
    tree.remove("sys/bus/pci/devices/0000:03:00.0");
    gone.restore();
    expect(gone.active).toBe(false);
  });

  test("restoring a device that somebody gave to a third driver is refused", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    const binding = bindDriver(address, tree.paths);
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/nvme");
    expect(errorOf(() => binding.restore())).toMatchObject({ code: "EBUSY", why: /bound it to nvme since/ });
    expect(binding.active).toBe(true);
  });

  test("a restore that fails half-way goes on where it stopped", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    const binding = bindDriver(address, tree.paths);
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    tree.replaceByDirectory("sys/bus/pci/drivers/igb/bind");
    expect(errorOf(() => binding.restore())).toMatchObject({ code: "EISDIR" });
    expect(binding.active).toBe(true);
    tree.remove(`${place}/driver`);
    tree.remove("sys/bus/pci/drivers/igb/bind");
    tree.driver("igb");
    binding.restore();
    expect(tree.firstLine("sys/bus/pci/drivers/igb/bind")).toBe(address);
    expect(binding.active).toBe(false);
  });

  test("an error in the block and one of the restoring are both there", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    const error = errorOf(() => {
      using binding = bindDriver(address, tree.paths);
      tree.link(`${place}/driver`, `sys/bus/pci/drivers/nvme`);
      throw new Error(`the user's, with ${binding.address}`);
    });
    expect(error).toMatchObject({
      name: "SuppressedError",
      suppressed: { message: /the user's/ },
      error: { code: "EBUSY" },
    });
  });
});

describe("the note of the former driver", () => {
  const note = `run/vfio/${address}.json`;

  test("is there before the first write, and as long as the device has the other driver", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8, attributes: { driver_override: "igb" } });
    const binding = bindDriver(address, tree.paths);
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: "igb" });
    // What another process would do.
    expect(planRelease(address, tree.paths)).toMatchObject({ to: "igb", chosenBy: "note" });
    binding.restore();
    expect(existsSync(tree.at(note))).toBe(false);
  });

  test("is not left behind by a binding that failed, but is by one that could not be undone", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    tree.replaceByDirectory("sys/bus/pci/drivers/vfio-pci/bind");
    expect(errorOf(() => bindDriver(address, tree.paths))).toMatchObject({ code: "EISDIR" });
    expect(existsSync(tree.at(note))).toBe(false);
    tree.file(override, "no-such-driver, really\n");
    tree.replaceByDirectory("sys/bus/pci/drivers/igb/bind");
    expect(errorOf(() => bindDriver(address, tree.paths))).toMatchObject({ code: "EISDIR" });
    tree.remove(`${place}/driver`);
    expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: "no-such-driver, really" });
  });

  test("names the first driver where one binding is upon the other", () => {
    using tree = new Tree();
    const place = tree.pci(address, { driver: "igb", group: 8 });
    const outer = bindDriver(address, tree.paths);
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    tree.file(override, "vfio-pci\n");
    const inner = bindDriver(address, { ...tree.paths, driver: "nvme" });
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/nvme");
    expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: undefined });
    inner.restore();
    tree.link(`${place}/driver`, "sys/bus/pci/drivers/vfio-pci");
    expect(formerDriver(address, tree.paths)).toEqual({ driver: "igb", override: undefined });
    outer.restore();
    expect(existsSync(tree.at(note))).toBe(false);
  });

  test("that cannot be written is an error, and nothing is written to sysfs", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", group: 8 });
    tree.file("run", "not a directory");
    expect(errorOf(() => bindDriver(address, tree.paths))).toMatchObject({
      name: "VfioError",
      code: "ENOTDIR",
      why: /could not be noted/,
      fix: /\{ run: /,
    });
    expect(tree.firstLine("sys/bus/pci/drivers/igb/unbind")).toBe("");
  });
});

describe("virtual functions", () => {
  const attributes = { sriov_totalvfs: "7", sriov_numvfs: "0", sriov_drivers_autoprobe: "1" };
  const place = `sys/bus/pci/devices/${address}`;

  test("are created by one write, with the choice of probing before it", () => {
    using tree = new Tree();
    const pf = tree.pci(address, { driver: "igb", attributes });
    tree.link(`${pf}/virtfn0`, tree.pci("0000:01:10.0"));
    expect(setNumVfs("01:00.0", 1, { ...tree.paths, autoprobe: false })).toEqual(["0000:01:10.0"]);
    expect(tree.firstLine(`${place}/sriov_numvfs`)).toBe("1");
    expect(tree.firstLine(`${place}/sriov_drivers_autoprobe`)).toBe("0");
  });

  test("no SR-IOV, too many, another number than there are", () => {
    using tree = new Tree();
    tree.pci("0000:02:00.0");
    tree.pci(address, { driver: "igb", attributes: { ...attributes, sriov_numvfs: "2" } });
    expect(errorOf(() => setNumVfs("02:00.0", 1, tree.paths))).toMatchObject({ code: "EOPNOTSUPP" });
    expect(errorOf(() => setNumVfs(address, 8, tree.paths))).toMatchObject({
      code: "ERR_OUT_OF_RANGE",
      message: /0 to 7/,
    });
    expect(errorOf(() => setNumVfs(address, -1, tree.paths))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    expect(errorOf(() => setNumVfs(address, 3, tree.paths))).toMatchObject({
      code: "EBUSY",
      fix: /setNumVfs\(.*, 0\)/,
    });
    expect(tree.firstLine(`${place}/sriov_numvfs`)).toBe("2");
  });

  test("are not removed while one is in use", () => {
    using tree = new Tree();
    const pf = tree.pci(address, { driver: "igb", attributes: { ...attributes, sriov_numvfs: "1" } });
    const vf = tree.pci("0000:01:10.0", { driver: "igb" });
    tree.link(`${pf}/virtfn0`, vf);
    tree.file(`${vf}/net/eth5/flags`, "0x1003\n");
    tree.link("sys/class/net/eth5", `${vf}/net/eth5`);
    expect(errorOf(() => setNumVfs(address, 0, tree.paths))).toMatchObject({
      code: "EBUSY",
      why: /0000:01:10\.0: .*eth5 is up/,
    });
    expect(setNumVfs(address, 0, { ...tree.paths, force: true })).toEqual([]);
    expect(tree.firstLine(`${place}/sriov_numvfs`)).toBe("0");
  });

  test("a refusal gives the choice of probing back", () => {
    using tree = new Tree();
    tree.pci(address, { driver: "igb", attributes });
    tree.replaceByDirectory(`${place}/sriov_numvfs`);
    expect(errorOf(() => setNumVfs(address, 1, { ...tree.paths, autoprobe: false }))).toMatchObject({ code: "EISDIR" });
    expect(tree.firstLine(`${place}/sriov_drivers_autoprobe`)).toBe("1");
  });
});
