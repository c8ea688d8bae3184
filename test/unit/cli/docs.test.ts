/** docs/command.md says what the command does. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Tree } from "../pci/tree.js";
import { keysOf, vfio } from "./run.js";

const text = readFileSync(new URL("../../../docs/command.md", import.meta.url), "utf8");

test("it has every field of what --json prints", async () => {
  using tree = new Tree();
  const place = tree.pci("0000:01:00.0", { driver: "igb", group: 11, attributes: { sriov_totalvfs: "7" } });
  tree.file(`${place}/net/eth0/flags`, "0x1003\n");
  tree.link("sys/class/net/eth0", `${place}/net/eth0`);
  tree.file(`${place}/config`, "\0".repeat(64));
  tree.file(`${place}/resource`, "0x1000 0x1fff 0x40200\n");
  tree.file(`${place}/vfio-dev/vfio0/dev`, "511:0\n");
  const commands = [
    ["list"],
    ["doctor", "01:00.0"],
    ["info", "01:00.0"],
    ["bind", "-n", "01:00.0"],
    ["unbind", "-n", "01:00.0"],
    ["info", "02:00.0"],
  ].map((args) => [...args, "--host", tree.root]);
  for (const args of [...commands, ["completion", "bash"], ["man"]]) {
    const { out } = await vfio([...args, "--json"]);
    for (const key of keysOf(JSON.parse(out))) expect(text, `${key} of vfio ${args[0]}`).toContain(`\`${key}\``);
  }
});
